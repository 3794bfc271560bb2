/** The copy of a write whose version was drawn before, as it is held here. */
import { Effect, Option, Result } from "effect"
import * as WriteId from "../../identity/WriteId.ts"
import * as Content from "../../log/Content.ts"
import * as Entry from "../../log/Entry.ts"
import * as Erased from "../../log/Erased.ts"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type { ReplicaClock } from "../../log/ReplicaClock.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as Version from "../../log/Version.ts"
import type { KeyReader } from "../../peer/KeyReader.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as StampToken from "../StampToken.ts"

/** Looks in the records of this replica. */
export const make = ({
  clock,
  horizonMillis,
  logs,
  reader
}: {
  readonly logs: ReplicaLogs["Service"]
  readonly reader: KeyReader["Service"]
  readonly clock: ReplicaClock["Service"]
  /** How old a stamp may be of which no copy is found. */
  readonly horizonMillis: number
}) => {
  /** The version of a token, when it is one for these writes. */
  const versionOf = (token: unknown, write: Entry.Writes): Result.Result<Entry.Stamp, QuorumError.WriteRejected> => {
    const read = StampToken.read(token)
    if (Option.isNone(read)) return rejected("it is not what a replica answered when it was asked for one")
    const { keys, ...stamp } = read.value
    const writes = Entry.listOf(write)
    if (keys !== StampToken.hashOf(writes)) return rejected("it was drawn for other keys")
    const isAhead = HybridLogicalClock.compare(stamp.clock, clock.latest(writes)) > 0
    return isAhead ? rejected("it is further ahead of this replica's clock than clocks may be") : Result.succeed(stamp)
  }

  /** The copy that is held here. One that is superseded in all its keys is not found, and does no harm. */
  const lookUp = Effect.fnUntraced(function* (write: Entry.Writes, stamp: Entry.Stamp) {
    for (const { key, namespace } of Entry.listOf(write)) {
      // Nearly always it is another write, which the index knows: nobody waits for the log then.
      const version = yield* reader.version(namespace, key)
      if (version === undefined || Version.compare(version, stamp) !== 0) continue
      const newest = yield* reader.newest(namespace, key)
      if (newest === undefined || Version.compare(newest, stamp) !== 0) continue
      const { log, seq } = WriteId.place(newest.writeId)
      const batch = Option.getOrThrow(yield* logs.read(log, seq - 1, 1))
      // Superseded while it was looked up.
      if (Erased.is(batch.bytes, 0)) continue
      if (isSame(batch.bytes, write, stamp)) return newest.writeId
      return yield* new QuorumError.StampReused({ held: newest.writeId })
    }
    return undefined
  })

  /** The copy to complete, or nothing when one may be appended. */
  const prepare = Effect.fnUntraced(function* (write: Entry.Writes, stamp: Entry.Stamp) {
    const found = yield* lookUp(write, stamp)
    if (found !== undefined) return found
    const ageMillis = clock.time().millis - stamp.clock.wallTime
    if (ageMillis > horizonMillis) return yield* new QuorumError.TooOldToKnow({ ageMillis, horizonMillis })
    return undefined
  })

  return { prepare, versionOf }
}

// ---------------------------------------------------------------------------------------------------------------------

const rejected = (detail: string) =>
  Result.fail(new QuorumError.WriteRejected({ field: "stamp", reason: "invalid", detail }))

/** Whether an entry that is held is that of these writes. */
const isSame = (bytes: Uint8Array, write: Entry.Writes, stamp: Entry.Stamp): boolean => {
  const { records, ...version } = Entry.decodeAt(bytes, 0)
  const [first, ...others] = records
  const held = Content.encode([first!, ...others], version)
  const asked = Content.encode(write, stamp)
  return held.length === asked.length && held.every((byte, i) => byte === asked[i])
}
