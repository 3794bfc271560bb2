/**
 * Liveness: when faults have stopped, every replica takes a write that all have to hold, all disks become equal, and
 * every read is answered, within bounded time.
 */
import { Entry, QuorumWriter } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import * as Disk from "../Disk.ts"
import * as History from "../History.ts"
import * as Workload from "../Workload.ts"
import type { World } from "../World.ts"
import * as Convergence from "./Convergence.ts"

/** Every replica takes a write that all have to hold, and then all disks become equal, and what is damaged is mended. */
export const heal = Effect.fnUntraced(function* (world: World) {
  const { members, timeline } = world
  const began = timeline.now()
  yield* Effect.forEach(
    members,
    Effect.fnUntraced(function* (id) {
      const write = Entry.put("healed", id, History.bytesOf(id))
      const commit = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.commit(write, { w: members.length }))
      let said = "nothing"
      while (timeline.now() - began < Convergence.bound) {
        const result = yield* Effect.result(Effect.timeoutOption(world.at(id, commit), 10_000))
        if (Result.isSuccess(result) && Option.isSome(result.success)) return
        said = Result.isFailure(result) ? result.failure.message : "nothing for 10 s"
        yield* Effect.sleep(500)
      }
      world.violated(
        "Liveness",
        `${id} took no write that all hold for ${Convergence.bound / 1000} s without faults: ${said}`
      )
    }),
    { concurrency: "unbounded", discard: true }
  )
  const damaged = () => world.machines.filter(({ disk }) => Disk.isDamaged(disk))
  while (timeline.now() - began < Convergence.bound) {
    if (Convergence.isConverged(world) && damaged().length === 0) break
    yield* Effect.sleep(1000)
  }
  for (const { id } of damaged()) {
    world.violated("Liveness", `${id} has not mended its disk for ${Convergence.bound / 1000} s without faults`)
  }
})

/** When all is well, every replica answers every kind of read, if not at once. */
export const answers = Effect.fnUntraced(function* (world: World, history: History.History, keys: number) {
  for (const id of world.members) {
    for (let key = 0; key < keys; key++) {
      for (const consistency of ["linearizable", "local"] as const) {
        const read = Workload.read(world, history, -1, id, `k${key}`, consistency, undefined)
        let { outcome } = yield* read
        for (let tries = 0; outcome !== "read" && tries < 20; tries++) {
          yield* Effect.sleep(500)
          outcome = (yield* read).outcome
        }
        if (outcome !== "read") {
          world.violated("Liveness", `${id} answers no ${consistency} read for 10 s without faults: ${outcome}`)
        }
      }
    }
  }
})
