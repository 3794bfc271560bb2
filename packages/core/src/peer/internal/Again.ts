/**
 * Commits entries of a log again under this replica's own one, with their clocks, ties and flags: a copy is the same version,
 * and takes no effect twice. A crash on the way has it done again, which makes one more copy and does no other harm.
 */
import { Clock, Effect, Option, Result } from "effect"
import { EventSink } from "../../events/EventSink.ts"
import * as Entry from "../../log/Entry.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as GivenUp from "../GivenUp.ts"
import type { Membership } from "../Membership.ts"
import * as OwnStore from "./OwnStore.ts"

/** An entry, and its place in the log that held it. */
export interface Held {
  readonly seq: number
  readonly entry: Entry.Entry
}

/** The entries of a batch, but for those that are erased. */
export const entriesOf = (batch: EntryBatch.EntryBatch): ReadonlyArray<Held> => {
  const entries: Array<Held> = []
  EntryBatch.forEach(batch, (seq, offset) => void entries.push({ seq, entry: Entry.decodeAt(batch.bytes, offset) }))
  return entries
}

/** What is committed again, why, and which entries of it: all unless something is given. */
export interface Kept extends Pick<GivenUp.GivenUp, "after" | "because" | "log" | "peer" | "upTo"> {
  readonly keeps?: (held: Held) => boolean
}

/** Commits entries again, and has it on record before anything is given up for them. An own fault ends it, and is returned. */
export type Keep = (kept: Kept) => Effect.Effect<OwnStore.OwnFault | undefined>

/** The work of one replica. */
export const make = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  membership: Membership["Service"],
  store: OwnStore.OwnStore
) {
  const sink = yield* EventSink
  const clock = yield* Clock.Clock

  /** Commits entries of a log again, but for those that nobody has. Returns where they are now, and what is left out. */
  const commitAgain = Effect.fnUntraced(function* ({
    after,
    keeps = () => true,
    log,
    upTo
  }: Kept): Effect.fn.Return<Result.Result<Pick<GivenUp.GivenUp, "again" | "dropped">, OwnStore.OwnFault>> {
    let parts: ReadonlyArray<GivenUp.Again> = []
    let dropped = 0
    const keys: Array<NonNullable<GivenUp.GivenUp["dropped"]>["keys"][number]> = []
    for (let at = after; at < upTo;) {
      const gap = membership.lost().find((range) => range.log === log && range.from <= at + 1 && at < range.to)
      if (gap !== undefined) {
        at = gap.to
        continue
      }
      const read = yield* store.once(`read ${log}`, logs.read(log, at, pageBytes))
      if (Result.isFailure(read)) return Result.fail(new OwnStore.OwnFault())
      if (Option.isNone(read.success)) break
      const batch = EntryBatch.upTo(read.success.value, upTo)
      const entries: Array<Held> = []
      for (const held of entriesOf(batch)) {
        if (keeps(held)) {
          entries.push(held)
          continue
        }
        dropped++
        for (const { key, namespace } of held.entry.records) {
          if (keys.length < maxKeys) keys.push({ seq: held.seq, namespace, key })
        }
      }
      // All of it is dropped, or erased: what is erased every member held, and something newer.
      if (entries.length === 0) {
        at = EntryBatch.last(batch)
        continue
      }
      const { own } = logs
      const append = logs.appendWrites(entries.map(writesOf), (index) => orderOf(entries[index]!), [], own)
      const appended = yield* store.once(`commit entries of ${log} again`, append)
      if (Result.isFailure(appended)) return Result.fail(new OwnStore.OwnFault())
      const { from } = appended.success.batch
      const seqs = entries.map(({ seq }) => seq)
      parts = GivenUp.withEntries(parts, seqs, own, from)
      at = EntryBatch.last(batch)
    }
    return Result.succeed({ again: parts, ...(dropped === 0 ? {} : { dropped: { entries: dropped, keys } }) })
  })

  const keep: Keep = Effect.fnUntraced(function* ({ keeps, ...why }: Kept) {
    const { after, because, log, peer, upTo } = why
    const again = yield* commitAgain({ ...why, ...(keeps === undefined ? {} : { keeps }) })
    if (Result.isFailure(again)) return again.failure
    const kept: GivenUp.GivenUp = { ...why, ...again.success, wallMillis: clock.currentTimeMillisUnsafe() }
    const noted = yield* store.once("note what was committed again", membership.kept.add(kept))
    if (Result.isFailure(noted)) return new OwnStore.OwnFault()
    const dropped = kept.dropped?.entries ?? 0
    if (sink.active()) sink.tell({ _tag: "CommittedAgain", log, after, upTo, because, peer, dropped })
    yield* Effect.logWarning(
      `entries ${after + 1} to ${upTo} of ${log} ${GivenUp.toldOf(kept)}: ${reasons[because](peer)}`
    )
    return undefined
  })
  return keep
})

// ---------------------------------------------------------------------------------------------------------------------

/** How much is committed again in one append. */
const pageBytes = 256 * 1024

/** How many keys of what is left out are remembered. */
const maxKeys = 100

const reasons: Readonly<Record<GivenUp.GivenUp["because"], (peer: GivenUp.GivenUp["peer"]) => string>> = {
  fork: (peer) => `${peer} holds others in their place`,
  lost: () => "no member has what is before",
  away: () => "no other member held them when this replica came back"
}

const writesOf = ({ entry }: Held): Entry.Writes => {
  const [first, ...rest] = entry.records
  return rest.length === 0 ? first! : [first!, ...rest]
}

/** The stamp of the entry as it is: the copy is the same version. */
const orderOf = ({ entry: { clock, tie, unprobed } }: Held) => ({
  after: undefined,
  unprobed,
  drawn: { clock, tie, unprobed },
  again: true
})
