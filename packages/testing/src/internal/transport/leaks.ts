/** What is left when scopes close: nothing. And everything arrives in the end, whatever happened on the way. */
import { assert } from "@effect/vitest"
import { Entry } from "@quorum/core"
import { Effect, Latch, Metric } from "effect"
import * as Conformance from "../../Conformance.ts"
import * as FaultyReplicaStore from "../../FaultyReplicaStore.ts"
import type { Wire } from "../../Wire.ts"
import { head, held } from "../entries.ts"
import { until } from "../waiting.ts"
import * as Rig from "./rig.ts"
import { useAndClose } from "./useAndClose.ts"

const processListeners = (): Record<string, number> =>
  Object.fromEntries(process.eventNames().map((name) => [String(name), process.listenerCount(name)]))

export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  Conformance.make(
    "no fiber and no listener is left when the scopes of a transport and a server have closed",
    Effect.gen(function* () {
      let fibers = 0
      let started = 0
      const listeners = processListeners()
      yield* Effect.gen(function* () {
        const rig = yield* Rig.make
        yield* useAndClose(rig, yield* rig.serve(Rig.b))
      }).pipe(
        Effect.scoped,
        Effect.provideService(Metric.FiberRuntimeMetrics, {
          recordFiberStart: () => {
            fibers++
            started++
          },
          recordFiberEnd: () => fibers--
        })
      )
      assert.isAbove(started, 0, "no fiber was seen at all")
      yield* until("all fibers have ended", () => fibers === 0)
      assert.deepStrictEqual(processListeners(), listeners)
    })
  ),

  Conformance.make(
    "a replicator delivers everything, and counts nothing that is not held, while its peer dies again and again",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const peer = yield* rig.replica(Rig.b)
      let running = yield* peer.start
      const { append, events, head: ownHead, peer: seen } = yield* Rig.observer(yield* rig.transport())
      const phantoms: Array<string> = []
      let heldUpTo = 0
      const copy = Effect.map(head(peer.store, Rig.logA), ({ seq }) => (heldUpTo = seq))
      events.listen((event) => {
        if (event._tag !== "Acked" || event.peer !== Rig.b || event.log !== Rig.logA) return
        Effect.runSync(copy)
        if (event.seq > heldUpTo) phantoms.push(`acked ${event.seq}, held ${heldUpTo}`)
      })
      const acked = () => seen(Rig.b).watermark
      for (let round = 0; round < 4; round++) {
        const goal = ownHead().seq + 25
        for (let i = 0; i < 25; i++) yield* append(Entry.put("ns", `k${i}`, `${round}`))
        yield* until("some of it was acked", () => acked() > goal - 25)
        if (round === 3) break
        // In the middle of a push: the disk has been asked, and will never answer this process.
        const disk = Latch.makeUnsafe()
        const before = peer.faults.count("SlowDisk")
        peer.faults.inject(FaultyReplicaStore.slowDiskUntil(disk.await))
        yield* Effect.addFinalizer(() => disk.open)
        yield* append(Entry.put("ns", "during", `${round}`))
        yield* until("a push is under way", () => peer.faults.count("SlowDisk") > before)
        yield* running.die
        disk.openUnsafe()
        running = yield* peer.start
      }
      const total = ownHead().seq
      yield* until("everything was acked", () => acked() === total)
      assert.deepStrictEqual(phantoms, [])
      assert.deepStrictEqual(yield* head(peer.store, Rig.logA), ownHead())
      assert.strictEqual((yield* held(peer.store, Rig.logA)).length, total)
    })
  )
]
