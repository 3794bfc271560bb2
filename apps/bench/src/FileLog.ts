/**
 * How fast a log in a file of our own could be at best: written into a file of zeros that is long enough, synced by
 * `fdatasync` in the pool, one sync for all that was written before it. It is read back from memory and not recovered from
 * the file, and there is only so much room; so this is no store, and what a store of this kind would add is not measured.
 */
import { fdatasync, mkdirSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import type { ReplicaSet } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"

/** As much room as some twenty seconds of writes take. */
const bytes = 768 * 2 ** 20

/** The log of a replica whose processes share no more than a measurement. */
export const layer = ({
  folder
}: {
  readonly folder: string
}): Layer.Layer<ReplicaStore.ReplicaStore, never, ReplicaSet.ReplicaSet> =>
  Layer.effect(
    ReplicaStore.ReplicaStore,
    Effect.gen(function* () {
      const inner = yield* ReplicaStore.ReplicaStore
      mkdirSync(folder, { recursive: true })
      const file = openSync(join(folder, "log.file"), "w")
      const zeros = new Uint8Array(2 ** 20)
      for (let at = 0; at < bytes; at += zeros.length) writeSync(file, zeros, 0, zeros.length, at)
      yield* Effect.promise(() => sync(file))
      let at = 0
      let underWay: Promise<void> | undefined
      let next: Promise<void> | undefined
      const begin = (): Promise<void> => {
        next = undefined
        const mine = sync(file).finally(() => {
          if (underWay === mine) underWay = undefined
        })
        underWay = mine
        return mine
      }
      const shared = (): Promise<void> => (underWay === undefined ? begin() : (next ??= underWay.then(begin)))
      return ReplicaStore.ReplicaStore.of({
        ...inner,
        get identity() {
          return inner.identity
        },
        steps: {
          write: (batch) => {
            if (at + batch.bytes.length > bytes) return Effect.die(new Error("the file is full"))
            at += writeSync(file, batch.bytes, 0, batch.bytes.length, at)
            return inner.append(batch)
          },
          sync: Effect.promise(shared)
        }
      })
    })
  ).pipe(Layer.provide(ReplicaStore.layerMemory))

// ---------------------------------------------------------------------------------------------------------------------

const sync = (file: number): Promise<void> =>
  new Promise((resolve, reject) => fdatasync(file, (error) => (error === null ? resolve() : reject(error))))
