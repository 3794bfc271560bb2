/**
 * What is written to a replica within this program, followed by `for await`.
 */
import { type Change, InvalidRequest, QuorumRecord, type WatchOptions } from "@quorum/client"
import { Changes, type Records } from "@quorum/core"
import { Effect, Exit, Option, Pull, Result, Schema, Scope, Stream } from "effect"

/** Runs an effect that may fail, until a signal is aborted: it rejects with the reason then. */
export type Run = <A, E extends Error>(effect: Effect.Effect<A, E>, signal?: AbortSignal) => Promise<A>

/**
 * Follows a namespace: all that this replica holds durably since a position, and then what comes, each write at least
 * once. Ends with the reason of the signal, or with what `run` rejects with.
 */
export const make = (records: Records.Records["Service"], run: Run) =>
  async function* (
    namespace: string,
    { prefix, signal, since, until }: WatchOptions = {}
  ): AsyncGenerator<Change, void> {
    signal?.throwIfAborted()
    const pages = records.changes({
      namespace,
      ...(prefix === undefined ? {} : { prefix }),
      ...(until === undefined ? {} : { until }),
      ...(since === undefined ? {} : { since: vectorOf(since) })
    })
    const scope = Scope.makeUnsafe()
    try {
      const pull = await run(Scope.provide(Stream.toPull(pages), scope), signal)
      const next = pull.pipe(
        Effect.map(Option.some),
        Pull.catchDone(() => Effect.succeedNone)
      )
      for (;;) {
        const some = await run(next, signal)
        if (Option.isNone(some)) return
        for (const { changes, position } of some.value) {
          for (const [i, change] of changes.entries()) {
            yield changeOf(change, i === changes.length - 1 ? textOf(position) : undefined)
            signal?.throwIfAborted()
          }
        }
      }
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }

// ---------------------------------------------------------------------------------------------------------------------

const decodePosition = Schema.decodeUnknownResult(Changes.Position)
const textOf = Schema.encodeSync(Changes.Position)

const vectorOf = (since: string): Changes.Vector => {
  const read = decodePosition(since)
  if (Result.isSuccess(read)) return read.success
  const detail = "it is not the position of a change"
  throw new InvalidRequest({ message: `invalid request, since: ${detail}`, field: "since", detail })
}

const changeOf = (
  { clock, contentType, deleted, key, namespace, tie, value, writeId }: Changes.Change,
  position: string | undefined
): Change => ({
  namespace,
  key,
  record: deleted
    ? undefined
    : new QuorumRecord({ namespace, key, contentType, writeId, bytes: new Uint8Array(value) }),
  writeId,
  clock,
  tie,
  position
})
