/**
 * What this replica holds of a write today.
 */
import { Effect, Option } from "effect"
import * as WriteId from "../identity/WriteId.ts"
import * as Chain from "../log/Chain.ts"
import * as Entry from "../log/Entry.ts"
import type { ReplicaLogs } from "../log/ReplicaLogs.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import type { KeyReader } from "./KeyReader.ts"
import type { CopyState } from "./PeerProtocol.ts"

/** Looks at the log and, where the entry is held, at its keys. */
export const stateOf = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  reader: KeyReader["Service"],
  writeId: WriteId.WriteId
): Effect.fn.Return<CopyState, StoreError> {
  const { check, log, seq } = WriteId.place(writeId)
  if (logs.head(log).seq < seq) return "missing"
  // What follows damage is read and not announced: it does not count as held either.
  if (logs.announced(log) < seq) return "damaged"
  const read = yield* Effect.catchIf(
    logs.read(log, seq - 1, 1),
    ({ reason }) => reason === "corrupt" && logs.damageAt(log, seq) !== undefined,
    () => Effect.succeedNone
  )
  if (Option.isNone(read)) return "damaged"
  const { bytes, chain } = read.value
  if (Chain.check(chain) !== check) return "replaced"
  const { records, ...version } = Entry.decodeAt(bytes, 0)
  for (const { key, namespace } of records) {
    const newest = yield* reader.newest(namespace, key)
    if (newest === undefined || Version.compare(newest, version) <= 0) return "held"
  }
  return "superseded"
})
