/**
 * Waiting for a write to be held here.
 */
import { Effect, Option } from "effect"
import * as WriteId from "../identity/WriteId.ts"
import * as Chain from "./Chain.ts"
import type { ReplicaLogs } from "./ReplicaLogs.ts"
import type { StoreError } from "./ReplicaStore.ts"

/**
 * Whether a write is durably held here: what is announced of its log reaches it, and it is what its id says. One that was
 * compacted counts: what superseded it is held.
 */
export const isHeld = (logs: ReplicaLogs["Service"], writeId: WriteId.WriteId): Effect.Effect<boolean, StoreError> =>
  look(logs, writeId, true)

/** Whether the chain of its log here says that a write is durably held: nobody can tell that of one that was compacted. */
export const isThere = (logs: ReplicaLogs["Service"], writeId: WriteId.WriteId): Effect.Effect<boolean, StoreError> =>
  look(logs, writeId, false)

/** Whether a log has reached a place here. */
export const isReached = (logs: ReplicaLogs["Service"], writeId: WriteId.WriteId): boolean => {
  const { log, seq } = WriteId.place(writeId)
  return logs.head(log).seq >= seq
}

/** Waits until a log reaches a place here. */
export const reached = (logs: ReplicaLogs["Service"], writeId: WriteId.WriteId): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const isHere = () => isReached(logs, writeId)
    if (isHere()) return resume(Effect.void)
    const stop = logs.onAppend(() => {
      if (!isHere()) return
      stop()
      resume(Effect.void)
    })
    return Effect.sync(stop)
  })

// ---------------------------------------------------------------------------------------------------------------------

/** Whether what is announced of its log reaches a write, and the chain there is its; `ofErased` where that cannot be told. */
const look = (
  logs: ReplicaLogs["Service"],
  writeId: WriteId.WriteId,
  ofErased: boolean
): Effect.Effect<boolean, StoreError> => {
  const { check, log, seq } = WriteId.place(writeId)
  if (logs.announced(log) < seq) return Effect.succeed(false)
  return Effect.map(
    logs.chainAt(log, seq),
    Option.match({ onNone: () => ofErased, onSome: (chain) => Chain.check(chain) === check })
  )
}
