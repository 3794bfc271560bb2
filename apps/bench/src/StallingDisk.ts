/**
 * A disk that stands still when it is asked to: what was written is synced later, as with a disk of which others use much.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"

/** How long it stands still, in milliseconds. */
export const stallMillis = 1000

/** Asks the disk of a replica process to stand still once. */
export const stall = (pid: number): Effect.Effect<void> => Effect.sync(() => void process.kill(pid, signal))

/** A store that syncs `stallMillis` later what it is to sync next after its process was asked to. */
export const layer = <E, R>(store: Layer.Layer<ReplicaStore.ReplicaStore, E, R>) =>
  Layer.effect(
    ReplicaStore.ReplicaStore,
    Effect.gen(function* () {
      const inner = yield* ReplicaStore.ReplicaStore
      let asked = false
      const ask = (): void => void (asked = true)
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on(signal, ask)),
        () => Effect.sync(() => process.off(signal, ask))
      )
      const stalled = <A, E>(sync: Effect.Effect<A, E>) =>
        Effect.suspend(() => {
          if (!asked) return sync
          asked = false
          return Effect.andThen(Effect.sleep(stallMillis), sync)
        })
      const { steps } = inner
      return ReplicaStore.ReplicaStore.of({
        ...inner,
        get identity() {
          return inner.identity
        },
        append: (batch) => stalled(inner.append(batch)),
        ...(steps === undefined ? {} : { steps: { write: steps.write, sync: stalled(steps.sync) } })
      })
    })
  ).pipe(Layer.provide(store))

// ---------------------------------------------------------------------------------------------------------------------

const signal = "SIGUSR2"
