/**
 * How much room the store has, and a reserve of it: what is left at last is kept for what ends the lack of room (deletes,
 * compaction) and for what peers bring. Puts are refused meanwhile, until there is room again.
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as QuorumError from "../quorum/QuorumError.ts"
import { ReplicaLogs } from "./ReplicaLogs.ts"
import * as ReplicaStore from "./ReplicaStore.ts"

/**
 * How many bytes are kept, of those that the store could still take; 0 for none. Unless given it is 64 MiB, or a sixteenth
 * of the disk where that is less, or of the most that the store may grow to.
 */
export const Reserve = Context.Reference<number | undefined>("@quorum/core/Reserve", { defaultValue: () => undefined })

/** How much room there is. Bytes. */
export const RoomStatus = Schema.Struct({
  /** What the store may still take: free room in its files, and what its disk has for it; null where nobody knows. */
  left: Schema.NullOr(Schema.Finite),
  /** How much of it is kept; null where nobody knows what is left. */
  reserve: Schema.NullOr(Schema.Finite),
  /** Whether less than the reserve is left, so that puts are refused here. */
  refusing: Schema.Boolean
})

/** How much room there is. */
export type RoomStatus = typeof RoomStatus.Type

/** How much room the store has. */
export class Room extends Context.Service<
  Room,
  {
    /** What the store takes, as it was found last; null before it was. */
    readonly space: () => ReplicaStore.Space | null
    readonly status: () => RoomStatus
    /** Why puts are refused now; `undefined` when they are not. */
    readonly refusal: () => QuorumError.DiskLow | undefined
    /** Looks now. It is looked once a second by itself. */
    readonly look: Effect.Effect<void>
  }
>()("@quorum/core/Room") {}

/** Looks until the scope closes. A store that cannot say what it takes leaves things as they were. */
export const make = Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  const logs = yield* ReplicaLogs
  const asked = yield* Reserve
  let space: ReplicaStore.Space | null = null
  /** What was appended since: a second is long for a fast disk. */
  let appendedBytes = 0
  let status = unknown

  /** Whenever one of these two has changed: what is refused has a memory, and may not depend on who asks when. */
  const weigh = (): void => {
    if (space?.limit === undefined) {
      status = unknown
      return
    }
    const { free, limit } = space
    const reserve = asked ?? Math.min(usualReserve, Math.floor(limit.of / smallShare))
    const left = Math.max(0, limit.left + free - appendedBytes)
    // Some more than the reserve has to be there before it ends: otherwise it would begin again with the next few writes.
    const refusing = left < (status.refusing ? reserve + Math.ceil(reserve / 8) : reserve)
    status = { left, reserve, refusing }
  }

  yield* Effect.acquireRelease(
    Effect.sync(() =>
      logs.onAppend(({ bytes }) => {
        appendedBytes += bytes.length
        weigh()
      })
    ),
    (stop) => Effect.sync(stop)
  )

  const look = Effect.suspend(() => {
    const before = appendedBytes
    return Effect.map(store.space, (found) => {
      space = found
      appendedBytes -= before
      weigh()
    })
  }).pipe(Effect.ignore)

  yield* look.pipe(Effect.andThen(Effect.sleep(lookMillis)), Effect.forever, Effect.forkScoped)

  return Room.of({
    space: () => space,
    status: () => status,
    look,
    refusal: () => {
      const { left, refusing, reserve } = status
      return refusing ? new QuorumError.DiskLow({ leftBytes: left!, reserveBytes: reserve! }) : undefined
    }
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Room, make)

// ---------------------------------------------------------------------------------------------------------------------

/** Nobody knows how much there is. */
const unknown: RoomStatus = { left: null, reserve: null, refusing: false }

const usualReserve = 64 * 1024 * 1024
const smallShare = 16
const lookMillis = 1000
