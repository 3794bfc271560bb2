import { assert, describe, it } from "@effect/vitest"
import { LogId, ReplicaId } from "../src/index.ts"
import * as Recovery from "../src/peer/internal/Recovery.ts"
import * as Sessions from "../src/peer/internal/Sessions.ts"

const [a, b] = [ReplicaId.make("a"), ReplicaId.make("b")]
const first = LogId.Incarnation.make("0000000000000001")
const second = LogId.Incarnation.make("0000000000000002")

const start = () => {
  let ids = 0
  const sessions = Sessions.make(100)
  return {
    ...sessions,
    open: (peer: ReplicaId.ReplicaId, of: LogId.Incarnation, now: number) =>
      sessions.open(peer, of, now, () => `s${++ids}`)
  }
}

describe("sessions", () => {
  it("a peer keeps its session from one handshake to the next", () => {
    const { enter, open } = start()
    const session = open(a, first, 0)
    assert.strictEqual(open(a, first, 50), session)
    assert.strictEqual(enter(session.id, undefined, 60), session)
    assert.notStrictEqual(open(b, first, 0).id, session.id)
  })

  it("a peer that comes back with another incarnation has another session, and its old one is no more", () => {
    const { enter, open } = start()
    const old = open(a, first, 0)
    const now = open(a, second, 500)
    assert.notStrictEqual(now.id, old.id)
    assert.strictEqual(now.incarnation, second)
    assert.isUndefined(enter(old.id, undefined, 501))
    assert.strictEqual(enter(now.id, undefined, 501), now)
  })

  it("the id of a peer is taken for another incarnation until it was silent for longer than a session lasts", () => {
    const { isTaken, open } = start()
    assert.isFalse(isTaken(a, first, 0))
    open(a, first, 0)
    assert.isFalse(isTaken(a, first, 50))
    assert.isTrue(isTaken(a, second, 100))
    assert.isFalse(isTaken(a, second, 101))
    assert.isFalse(isTaken(b, second, 50))
  })

  it("a request keeps the session alive, and one that proves to be somebody else is not let in", () => {
    const { enter, isTaken, open } = start()
    const { id } = open(a, first, 0)
    assert.isUndefined(enter(id, b, 90))
    assert.isFalse(isTaken(a, second, 101))
    assert.isDefined(enter(id, a, 90))
    assert.isTrue(isTaken(a, second, 190))
    assert.isUndefined(enter("other", undefined, 90))
  })
})

describe("recovery before the first append", () => {
  const make = (head: { seq: number }) => {
    let done = 0
    const recovery = Recovery.make({
      peers: [a, b],
      ownHead: () => head.seq,
      startedAt: 1000,
      patienceMillis: 50,
      onDone: () => done++
    })
    return { ...recovery, done: () => done }
  }

  it("is done when every peer was tried, once", () => {
    const { done, isDone, tried } = make({ seq: 0 })
    tried(a)
    assert.isFalse(isDone())
    tried(b)
    assert.isTrue(isDone())
    tried(b)
    assert.strictEqual(done(), 1)
  })

  it("waits for what a peer is known to hold, unless its copy turns out to differ", () => {
    for (const [seq, isEnough] of [
      [4, false],
      [5, true],
      [6, true]
    ] as const) {
      const { isDone, learnt, tried } = make({ seq })
      learnt(a, 5)
      tried(a)
      tried(b)
      assert.strictEqual(isDone(), isEnough, `held up to ${seq}`)
    }
    const { forget, isDone, learnt, tried } = make({ seq: 0 })
    learnt(a, 5)
    forget(a)
    tried(a)
    tried(b)
    assert.isTrue(isDone())
  })

  it("a peer that cannot be reached is waited for until patience ends", () => {
    const { failed, isDone, tried } = make({ seq: 0 })
    tried(a)
    failed(b, 1049)
    assert.isFalse(isDone())
    failed(b, 1050)
    assert.isTrue(isDone())
  })
})
