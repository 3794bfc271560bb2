/**
 * What this replica holds of a write today.
 */
import { Effect, Option } from "effect"
import type * as LogId from "../identity/LogId.ts"
import * as WriteId from "../identity/WriteId.ts"
import * as Chain from "../log/Chain.ts"
import * as Entry from "../log/Entry.ts"
import * as Erased from "../log/Erased.ts"
import type { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import * as GivenUp from "./GivenUp.ts"
import type { KeyReader } from "./KeyReader.ts"
import type { CopyState, Verified } from "./PeerProtocol.ts"

/** Whether a copy counts: the write is here, or was and had its effect everywhere. */
export const isHeld = (state: CopyState): boolean => state === "held" || state === "superseded" || state === "compacted"

/** What is asked about: an id, and the version of its write where that is known. */
interface Asked {
  readonly writeId: WriteId.WriteId
  readonly version?: Version.Version | undefined
}

/** Looks at a place of a log and, where the entry that `isIt` tells is held there, at its keys. */
const stateAt = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  reader: KeyReader["Service"],
  { log, seq }: { readonly log: LogId.LogId; readonly seq: number },
  isIt: (check: number, version: Version.Version) => boolean
): Effect.fn.Return<Pick<Verified, "state"> & { readonly check?: number }, StoreError> {
  if (logs.head(log).seq < seq) return { state: "missing" }
  // What follows damage is read and not announced: it does not count as held either.
  if (logs.announced(log) < seq) return { state: "damaged" }
  const read = yield* Effect.catchIf(
    logs.read(log, seq - 1, 1),
    ({ reason }) => reason === "corrupt" && logs.damageAt(log, seq) !== undefined,
    () => Effect.succeedNone
  )
  if (Option.isNone(read)) return { state: "damaged" }
  const { bytes, chain } = read.value
  if (Erased.is(bytes, 0)) return { state: "compacted" }
  const check = Chain.check(chain)
  const { records, ...version } = Entry.decodeAt(bytes, 0)
  if (!isIt(check, version)) return { state: "replaced" }
  for (const { key, namespace } of records) {
    const newest = yield* reader.newest(namespace, key)
    if (newest === undefined || Version.compare(newest, version) <= 0) return { state: "held", check }
  }
  return { state: "superseded", check }
})

/**
 * Looks at the place that an id names and, where the write is not held there, at those where this replica has committed
 * it again. What is there is told by its version: an entry that was committed again has another id.
 */
export const stateOf = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  reader: KeyReader["Service"],
  known: ReadonlyArray<GivenUp.GivenUp>,
  { version, writeId }: Asked
): Effect.fn.Return<Pick<Verified, "movedTo" | "state">, StoreError> {
  const { check, ...place } = WriteId.place(writeId)
  const { state } = yield* stateAt(logs, reader, place, (found) => found === check)
  // Of what is erased nobody can tell which side of a fork it was of, but by the version of what was committed again.
  if (version === undefined || (isHeld(state) && state !== "compacted")) return { state }
  const places = [...GivenUp.placesOf(known, place.log, place.seq)]
  // What was committed again may have been given up once more; each time it is in a newer log.
  for (let next = places.shift(); next !== undefined; next = places.shift()) {
    const moved = yield* stateAt(logs, reader, next, (_, found) => Version.compare(found, version) === 0)
    if (moved.check !== undefined && isHeld(moved.state)) {
      return { state: moved.state, movedTo: WriteId.make(next.log, next.seq, moved.check) }
    }
    places.push(...GivenUp.placesOf(known, next.log, next.seq))
  }
  return { state }
})
