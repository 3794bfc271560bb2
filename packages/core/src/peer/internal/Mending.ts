/**
 * Fetches what is damaged here from a peer, by place and chain, and has it put in its place. Any peer will do that holds
 * the same log, also one that does not vote, and its own damage elsewhere does not matter.
 */
import { Effect, Option, Result } from "effect"
import type { LogId } from "../../identity/LogId.ts"
import * as DamagedRange from "../../log/DamagedRange.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type { Membership } from "../Membership.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import { faultOf, type Source } from "./CatchUp.ts"
import * as OneAtATime from "./OneAtATime.ts"
import type * as OwnStore from "./OwnStore.ts"

/** What a peer can do for a damaged range: it has it, it lacks it or holds other entries, or nobody knows today. */
type Outcome = "mended" | "lacking" | "unknown" | OwnStore.OwnFault

/** Mends the logs of one replica, shared by its replicators. */
export const make = (logs: ReplicaLogs["Service"], membership: Membership["Service"], store: OwnStore.OwnStore) => {
  /** A log is mended from one peer at a time. */
  const once = OneAtATime.make<LogId>()

  /** The entries from a place on, some of them; why not in a word. */
  const pull = Effect.fnUntraced(function* ({ batchBytes, client }: Source, session: string, place: Place) {
    const { from, log, some } = place
    const answer = yield* Effect.result(
      client.pull({ session, log, after: from - 1, maxBytes: some === "one" ? 1 : batchBytes() })
    )
    if (Result.isFailure(answer)) {
      if (answer.failure._tag !== "StoreError") return yield* answer.failure
      return answer.failure.reason === "corrupt" ? ("lacking" as const) : ("unknown" as const)
    }
    const { batch } = answer.success
    if (batch === null || faultOf(batch, log, from - 1) !== undefined) return "lacking" as const
    return EntryBatch.after(batch, from - 1)
  })

  /** Puts entries in their place. */
  const put = (batch: EntryBatch.EntryBatch) =>
    Effect.map(store.once(`mend ${batch.log}`, logs.mend(batch)), (result): Outcome => {
      if (Result.isSuccess(result)) return "mended"
      // Its erased entries and those here do not let the two be compared there.
      if (result.failure._tag === "AppendGap") return "unknown"
      return result.failure._tag === "OwnFault" ? result.failure : "lacking"
    })

  /** Whether what the peer holds at the end of a range is what follows it here: then it holds the same up to there. */
  const agreesAt = Effect.fnUntraced(function* (
    source: Source,
    session: string,
    { log, to }: DamagedRange.DamagedRange
  ) {
    const there = yield* pull(source, session, { log, from: to, some: "one" })
    if (typeof there === "string") return there
    // Of entries that are erased there the chain is known after the last of them.
    const end = EntryBatch.chainAt(there, to) === undefined ? EntryBatch.last(there) : to
    const here = yield* store.once(`read ${log}`, logs.chainAt(log, end))
    if (Result.isFailure(here)) return here.failure
    // Where it is not known here either, the store looks at more of it than this.
    return Option.isNone(here.success) ? end > to : here.success.value === EntryBatch.chainAt(there, end)
  })

  /**
   * The beginning of a batch up to an entry, and on to where the chain is known here too: it is not among entries that are
   * erased, and two copies may have other ranges of those. Else nobody could tell whether it fits.
   */
  const comparableUpTo = Effect.fnUntraced(function* (batch: EntryBatch.EntryBatch, to: number) {
    const { log } = batch
    let part = EntryBatch.upTo(batch, to)
    while (EntryBatch.last(part) < EntryBatch.last(batch)) {
      const end = EntryBatch.last(part)
      const here = Option.flatten(yield* Effect.option(logs.chainAt(log, end)))
      const own = Option.flatten(yield* Effect.option(logs.read(log, end - 1, 1)))
      // Damaged, it is compared with what comes after that.
      if (Option.isSome(here) || Option.isNone(own) || EntryBatch.last(own.value) <= end) break
      part = EntryBatch.upTo(batch, EntryBatch.last(own.value))
    }
    return part
  })

  /** Fetches a range piece by piece, from its beginning on. */
  const fetch = Effect.fnUntraced(function* (source: Source, session: string, range: DamagedRange.DamagedRange) {
    const { log, to } = range
    for (let { from } = range; from <= to;) {
      const batch = yield* pull(source, session, { log, from, some: "many" })
      if (typeof batch === "string") return batch
      const part = yield* comparableUpTo(batch, to)
      const outcome = yield* put(part)
      if (outcome !== "mended") return outcome
      from = EntryBatch.last(part) + 1
    }
    return "mended" as const
  })

  /**
   * What follows a range here looks sound and is not what the peer holds: rows in the wrong place, up to the next damage
   * of the log. All of it in one batch has to fit on both sides.
   */
  const fetchWider = Effect.fnUntraced(function* (source: Source, session: string, range: DamagedRange.DamagedRange) {
    const { from, log } = range
    const next = DamagedRange.joined(logs.damaged()).find((other) => other.log === log && other.from > range.to)
    if (next === undefined) return "lacking" as const
    const batch = yield* pull(source, session, { log, from, some: "many" })
    if (typeof batch === "string") return batch
    return EntryBatch.last(batch) < next.to ? ("lacking" as const) : yield* put(EntryBatch.upTo(batch, next.to))
  })

  /** A range with what is damaged beside it and was not found yet: that hides the chain by which the copies are compared. */
  const wholeOf = Effect.fnUntraced(function* (range: DamagedRange.DamagedRange) {
    yield* Effect.ignore(logs.check(range.log, range.to, lookBytes))
    const found = DamagedRange.joined(logs.damaged())
    return found.find(({ from, log, to }) => log === range.log && from <= range.from && range.from <= to) ?? range
  })

  const mend = Effect.fnUntraced(function* (source: Source, session: string, known: DamagedRange.DamagedRange) {
    const range = yield* wholeOf(known)
    const agrees = yield* agreesAt(source, session, range)
    if (agrees === true) return yield* fetch(source, session, range)
    return agrees === false ? yield* fetchWider(source, session, range) : agrees
  })

  /** Mends what the peer can mend. An own fault ends it, and is returned. */
  return Effect.fnUntraced(function* (source: Source, { session }: PeerProtocol.Welcome) {
    for (const range of DamagedRange.joined(logs.damaged())) {
      const { log } = range
      // Such an end is given up, and fetched as what was never here.
      const isEnd = logs.unknownEnds().includes(log) && logs.head(log).seq <= range.to
      if (isEnd) continue
      const outcome = yield* once(log, mend(source, session, range))
      if (outcome === "lacking") membership.lacks(source.peer, range)
      else if (outcome !== undefined && outcome !== "mended" && outcome !== "unknown") return outcome
    }
    return undefined
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** How much of a log is looked at after a damaged range. */
const lookBytes = 64 * 1024

/** Entries to ask for. */
interface Place {
  readonly log: LogId
  readonly from: number
  readonly some: "one" | "many"
}
