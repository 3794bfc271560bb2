import { assert, describe, it } from "@effect/vitest"
import { FaultyReplicaStore, ReplicaSetRig } from "@quorum/testing"
import { Effect, Layer, Logger, References } from "effect"
import { ReplicaLog } from "../src/index.ts"
import * as Replicas from "./support/replicas.ts"

const { commit, pass } = Replicas

/** A log that collects what it is told, as `event peer`. */
const collecting = () => {
  const lines: Array<string> = []
  const texts: Array<string> = []
  const logger = Logger.make(({ fiber, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    const peer = annotations["quorum.peer"]
    lines.push(`${String(annotations["quorum.event"])}${peer === undefined ? "" : ` ${String(peer)}`}`)
    texts.push(JSON.stringify([message, annotations]))
  })
  return { lines, texts, also: ReplicaLog.layer().pipe(Layer.provide(Logger.layer([logger]))) }
}

const three = Effect.gen(function* () {
  const log = collecting()
  const set = yield* Replicas.make
  const a = yield* set.start("a", { also: log.also })
  const b = yield* set.start("b")
  const c = yield* set.start("c")
  yield* pass(3000)
  return { set, a, b, c, ...log, since: () => log.lines.splice(0) }
})

describe("ReplicaLog", () => {
  it("says once a minute who is turned away and how many more there were, and of strangers without number a few", () => {
    const pace = ReplicaLog.pacer()
    const away = (address: string) =>
      ({ _tag: "HandshakeRefused", direction: "incoming", peer: undefined, reason: "unproven", address }) as const
    const first = pace(away("10.0.0.1"), 0)
    assert.deepStrictEqual(first?.more, { direction: "incoming", reason: "unproven", address: "10.0.0.1" })
    for (let i = 1; i < 60; i++) assert.isUndefined(pace(away("10.0.0.1"), i * 1000))
    assert.deepInclude(pace(away("10.0.0.1"), 60_000)?.more, { others: 59 })
    let lines = 0
    for (let i = 0; i < 10_000; i++) if (pace(away(`10.1.${i >> 8}.${i & 255}`), 60_001 + i) !== undefined) lines++
    assert.isBelow(lines, 70)
    // When all is over, the next is said at once again.
    assert.isDefined(pace(away("10.9.9.9"), 400_000))
  })

  it.effect("says which connections were ended for what they cost, once a minute for each address and bound", () =>
    Effect.gen(function* () {
      const { a, since, texts } = yield* three
      since()
      for (let i = 0; i < 100; i++) a.ended("too_many_clients", "10.0.0.1")
      a.ended("unread", "10.0.0.1")
      yield* pass(1000)
      assert.deepStrictEqual(since(), ["connection_ended", "connection_ended"])
      assert.include(texts.join(), "10.0.0.1")
      yield* pass(60_000)
      a.ended("too_many_clients", "10.0.0.1")
      yield* pass(1000)
      assert.deepStrictEqual(since(), ["connection_ended"])
    })
  )

  it.effect("says nothing of writes that go well", () =>
    Effect.gen(function* () {
      const { a, since } = yield* three
      since()
      for (let i = 0; i < 5; i++) yield* commit(a, `k${i}`)
      assert.deepStrictEqual(since(), [])
    })
  )

  it.effect("says once that a peer is down, lagging, back and caught up, and nothing of keys", () =>
    Effect.gen(function* () {
      const { a, c, set, since, texts } = yield* three
      since()
      yield* c.stop
      yield* pass(1000)
      yield* commit(a, "secret-key")
      yield* pass(30_000)
      assert.deepStrictEqual(since(), ["peer_down c", "peer_lagging c"])
      yield* set.start("c")
      yield* pass(3000)
      assert.sameMembers(since(), ["peer_up c", "peer_caught_up c"])
      assert.notInclude(texts.join(), "secret-key")
      assert.notInclude(texts.join(), "notes")
    })
  )

  it.effect("says that too few replicas are left, and that the store fails", () =>
    Effect.gen(function* () {
      const { a, b, c, since } = yield* three
      since()
      a.faults.inject(FaultyReplicaStore.failedAppend("disk_full"))
      yield* commit(a, "full")
      assert.deepStrictEqual(since(), ["store_fault"])
      yield* commit(a, "room")
      assert.deepStrictEqual(since(), ["store_works"])
      yield* Effect.all([b.stop, c.stop])
      yield* pass(5000)
      assert.deepStrictEqual(since(), ["unavailable", "peer_down b", "peer_down c"])
    })
  )

  it.effect("says that puts are refused because there is nearly no room, and that they are taken again", () =>
    Effect.gen(function* () {
      const log = collecting()
      const set = yield* Replicas.make
      const limit = { left: 1000, of: 16_000 }
      yield* set.start("a", { also: log.also, limit: () => limit })
      for (const left of [999, 2000]) {
        yield* pass(3000)
        limit.left = left
      }
      yield* pass(3000)
      assert.deepStrictEqual(
        log.lines.filter((line) => line.startsWith("puts")),
        ["puts_refused", "puts_taken"]
      )
    })
  )

  it.effect("says that entries cannot be read, and that all can be read again", () =>
    Effect.gen(function* () {
      const rig = yield* ReplicaSetRig.make(["a"])
      const a = yield* rig.start("a")
      yield* pass(3000)
      const watch = ReplicaLog.watcher({})
      const status = a.status()
      const said = (damaged: typeof status.damaged) =>
        watch({ ...status, damaged }, 0).map(({ event, level }) => `${level} ${event}`)
      assert.deepStrictEqual(said([]), [])
      assert.deepStrictEqual(said([{ log: status.log, from: 1, to: 1 }]), ["Error damage"])
      assert.deepStrictEqual(said([]), ["Info damage_over"])
    })
  )

  it.effect("says that a clock is ahead", () =>
    Effect.gen(function* () {
      const log = collecting()
      const set = yield* Replicas.make
      yield* set.start("a", { also: log.also })
      yield* set.start("b", { aheadMillis: 20_000 })
      yield* pass(3000)
      assert.include(log.lines, "clock_skew b")
    })
  )
})

describe("watcher", () => {
  it.effect(
    "says that the disk is low, once, and that it has room again, also when it could not be looked at before",
    () =>
      Effect.gen(function* () {
        let free = 0.5
        let isGone = false
        const look = (): number => {
          if (isGone) throw new Error("ENOENT: no such file or directory, statfs")
          return free
        }
        const { also, lines } = collecting()
        void also
        const set = yield* Replicas.make
        const layer = ReplicaLog.layer({ disk: { free: look, low: 0.1 } }).pipe(
          Layer.provide(
            Logger.layer([
              Logger.make(({ fiber }) => {
                lines.push(String(fiber.getRef(References.CurrentLogAnnotations)["quorum.event"]))
              })
            ])
          )
        )
        yield* set.start("a", { also: layer })
        yield* pass(2000)
        isGone = true
        yield* pass(2000)
        isGone = false
        free = 0.05
        yield* pass(3000)
        free = 0.5
        yield* pass(2000)
        assert.deepStrictEqual(
          lines.filter((line) => line.startsWith("disk")),
          ["disk_low", "disk_well"]
        )
      })
  )

  it("throws at a duration that is not above zero", () => {
    for (const option of ["every", "lag", "clockSkew"] as const) {
      for (const given of [0, Number.NaN, "-5 seconds", "soon" as never, null as never] as const) {
        assert.throws(
          () => ReplicaLog.layer({ [option]: given }),
          new RegExp(`^${option}: .* is not a duration above zero`)
        )
      }
      ReplicaLog.layer({ [option]: "1 minute" })
    }
  })
})
