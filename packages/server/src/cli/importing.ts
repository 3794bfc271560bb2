/**
 * `quorum import`: lines of JSON as records, many at once, and every one followed to its end.
 */
import { statSync } from "node:fs"
import { InvalidRequest, QuorumError, WriteRejected } from "@quorum/client"
import type { Entry, Limits } from "@quorum/core"
import { Clock, Console, Effect, FileSystem, Option, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Lines from "../tools/Lines.ts"
import * as Progress from "../tools/Progress.ts"
import * as Text from "../tools/Text.ts"
import * as UnderWay from "../tools/UnderWay.ts"
import { Ended, Failed, leaving, Usage } from "./Ending.ts"
import * as Whole from "../tools/Whole.ts"
import * as Records from "./records.ts"
import * as Remote from "./remote.ts"

/** The command. */
export const command = Command.make(
  "import",
  {
    file: Argument.String("file").pipe(Argument.withDescription("A file of lines; - reads standard input")),
    from: Whole.flag("from", 1, Number.MAX_SAFE_INTEGER).pipe(
      Flag.withMetavar("LINE"),
      Flag.withDescription("Skip the lines before this one (default: 1)"),
      Flag.withDefault(1)
    ),
    writers: Whole.flag("writers", 1, 16_384).pipe(
      Flag.withMetavar("N"),
      Flag.withDescription("How many writes are under way at once (default: 2048)"),
      Flag.withDefault(2048)
    ),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription("Only say which lines cannot be imported, and why"),
      Flag.withDefault(false)
    ),
    w: Records.w,
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ dryRun, file, from, w, writers, ...given }) {
    const remote = yield* Remote.connect(given)
    const startedAt = yield* Clock.currentTimeMillis
    const options = Option.isSome(w) ? { w: w.value } : {}
    const send = ({ contentType, key, kind, namespace, value }: Entry.Write): Promise<unknown> =>
      kind === "delete"
        ? remote.client.delete(namespace, key, options)
        : remote.client.put(namespace, key, value, contentType === undefined ? options : { ...options, contentType })
    const limits = yield* Effect.promise(() => Remote.limitsOf(remote))
    const countsOf = ({ committed, lines, open, rejected }: State) => ({
      lines,
      [dryRun ? "valid" : "committed"]: committed,
      rejected,
      openFrom: open?.line ?? null
    })
    const textOf = ({ committed, lines, rejected }: State) =>
      `${Text.number(committed)} of ${Text.number(lines)} lines ${dryRun ? "can be imported" : "committed"}, ${Text.number(rejected)} rejected`
    const goOnWith = ({ line }: Open) => `go on with: quorum import ${file} --from ${line}`
    const state = yield* run(
      yield* linesOf(file),
      limits,
      from,
      writers,
      dryRun ? () => Promise.resolve() : send,
      given,
      (state, open) => ({ message: Progress.printable(`${textOf(state)}; ${goOnWith(open)}`), ...countsOf(state) })
    )
    const millis = (yield* Clock.currentTimeMillis) - startedAt
    const { committed, open, rejected } = state
    const rate = Math.round((committed / Math.max(1, millis)) * 1000)
    yield* Console.log(
      given.json
        ? JSON.stringify({ ...countsOf(state), millis })
        : `${textOf(state)}, in ${Text.seconds(millis)} (${Text.number(rate)}/s)`
    )
    if (open !== undefined) {
      const detail = `line ${open.line}: ${open.reason}\nWhat comes before it is settled; ${goOnWith(open)}`
      return yield* new Failed({ detail: Progress.printable(detail), code: open.code })
    }
    if (rejected > 0) return yield* new Ended({ code: 1 })
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    'Imports lines of JSON, {"namespace", "key", "value"} with any JSON as the value, or with "text" or "base64" instead, and a ' +
      '"contentType"; or with "delete": true; or any object with an "id", which goes to the namespace memories. Lines of one key ' +
      "are written in their order. Lines that cannot be imported are named, and the others are. Where no replica answers any " +
      "more it stops, and says with which line to go on; to import a line again is harmless unless its key was written since."
  ),
  Command.withShortDescription("Imports lines of JSON"),
  Command.withExamples([
    { command: "quorum import records.jsonl", description: "A file" },
    { command: "gunzip -c records.jsonl.gz | quorum import -", description: "Standard input" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

interface Source {
  readonly bytes: Stream.Stream<Uint8Array, { readonly message: string }, FileSystem.FileSystem>
  /** How many there are; not known of standard input. */
  readonly size: number | undefined
}

const linesOf = Effect.fnUntraced(function* (
  file: string
): Effect.fn.Return<Source, Usage, FileSystem.FileSystem | Stdio.Stdio> {
  if (file === "-") return { bytes: (yield* Stdio.Stdio).stdin, size: undefined }
  const info = yield* Effect.try({
    try: () => statSync(file),
    catch: (error) => new Usage({ detail: `file: ${Remote.messageOf(error)}` })
  })
  if (info.isDirectory()) return yield* new Usage({ detail: `file: ${file} is a folder` })
  // Read by positions, which it has none of; and a process whose read of a pipe is under way cannot end.
  if (info.isFIFO())
    return yield* new Usage({ detail: `file: ${file} is a pipe; have it come in by standard input: -` })
  const fs = yield* FileSystem.FileSystem
  return { bytes: fs.stream(file, { chunkSize: 256 * 1024 }), size: info.isFile() ? info.size : undefined }
})

/** Whether a line is to blame: how many replicas were asked for is for all of them. */
const isOfLine = (error: unknown): error is QuorumError =>
  error instanceof WriteRejected || (error instanceof InvalidRequest && error.field !== "w")

/** How many rejected lines are named. */
const namedLines = 20

/** Bytes of values that are under way, after which no further line is sent. */
const maxHeldBytes = 32 * 1024 * 1024

/** A write that did not come to its end. */
interface Open {
  readonly line: number
  readonly reason: string
  readonly code: number
}

/** How far it is. */
interface State {
  lines: number
  committed: number
  rejected: number
  /** The first line that is not settled, once no more are sent. */
  open: Open | undefined
}

/**
 * Sends all lines, as many at once as there are writers, those of a key one after the other. Interrupted, it sends no more,
 * and waits for what is under way before it says how far it came.
 */
const run = Effect.fnUntraced(
  function* (
    { bytes, size }: Source,
    limits: Limits.Limits,
    from: number,
    writers: number,
    send: (write: Entry.Write) => Promise<unknown>,
    given: Remote.Given,
    left: (state: State, open: Open) => { readonly message: string }
  ) {
    const { finish, say, step } = yield* Progress.Progress
    const state: State = { lines: 0, committed: 0, rejected: 0, open: undefined }
    let read = 0
    let next = from

    const reject = (line: number, reason: string) => {
      state.rejected++
      if (state.rejected > namedLines) return Effect.void
      return say(given.json ? JSON.stringify({ line, reason }) : `line ${line} is rejected: ${reason}`)
    }
    const told: Array<readonly [line: number, reason: string]> = []
    const tellRejected = Effect.suspend(() =>
      Effect.forEach(told.splice(0), ([line, reason]) => reject(line, reason), { discard: true })
    )

    const settle = async ({ number, write }: Lines.WriteLine, before: Promise<void> | undefined): Promise<void> => {
      if (before !== undefined) await before
      // One before it failed: what is sent no more is open, and the first of it is where to go on.
      if (state.open !== undefined) return fail(number, "it was not sent", 1)
      try {
        await send(write)
        state.committed++
      } catch (error) {
        if (isOfLine(error)) told.push([number, error.message])
        else fail(number, Remote.messageOf(error), error instanceof QuorumError ? Remote.exitOf(error) : 1)
      }
    }
    const fail = (line: number, reason: string, code: number): void => {
      const known = state.open
      if (known === undefined) state.open = { line, reason, code }
      else state.open = { line: Math.min(line, known.line), reason: known.reason, code: Math.max(code, known.code) }
    }

    const underWay = UnderWay.make(writers, maxHeldBytes)

    /** Sends a line as soon as those of its key before it are settled. */
    const start = (line: Lines.WriteLine): void => {
      const { key, namespace, value } = line.write
      underWay.start(`${namespace}\0${key}`, value.length + 200, (before) => settle(line, before))
    }

    /** Lines that came at once: all of them are started, as soon as there is room. */
    const take = async (lines: ReadonlyArray<Lines.Line>): Promise<void> => {
      for (const line of lines) {
        if (line.number < from) continue
        while (underWay.isFull()) await underWay.less()
        if (state.open !== undefined) return
        state.lines++
        next = line.number + 1
        if (line._tag === "Rejected") told.push([line.number, line.reason])
        else start(line)
      }
    }

    const settled = Effect.promise(underWay.settled)
    const interrupted = Effect.gen(function* () {
      state.open ??= { line: next, reason: "it was interrupted", code: 1 }
      yield* settled
      yield* tellRejected
      yield* finish
      return left(state, state.open)
    })

    yield* bytes.pipe(
      Stream.tap((chunk) => {
        read += chunk.length
        return size === undefined || given.json ? Effect.void : step("import", read, size, "bytes")
      }),
      Lines.split(undefined, limits),
      Stream.chunks,
      Stream.takeWhile(() => state.open === undefined),
      Stream.runForEach((lines) =>
        Effect.promise(() => take(lines)).pipe(
          Effect.andThen(tellRejected),
          // Nobody knows how much is still to come.
          Effect.andThen(() =>
            size !== undefined || given.json ? Effect.void : step("import", state.lines, undefined, "lines")
          )
        )
      ),
      Effect.mapError((error) => new Failed({ detail: `the lines cannot be read any more: ${error.message}` })),
      Effect.andThen(settled),
      leaving(given.json, interrupted)
    )
    yield* tellRejected
    yield* finish
    if (state.rejected > namedLines && !given.json)
      yield* say(`and ${Text.number(state.rejected - namedLines)} more are rejected`)
    return state
  },
  Effect.provide(Progress.layer(process.stderr))
)
