/** What is decided about a write before anything is done with it, on both sides of every edge. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Entry, LogId, Limits, QuorumError } from "../src/index.ts"
import type { PeerState } from "../src/peer/Peers.ts"
import * as Admission from "../src/write/internal/Admission.ts"
import * as Cluster from "./support/cluster.ts"

const [idA, idB, idC] = [Cluster.id("a"), Cluster.id("b"), Cluster.id("c")]
const own = LogId.make(idA, "00000000000000aa" as LogId.Incarnation)
const other = LogId.make(idB, "00000000000000bb" as LogId.Incarnation)
const policy = Cluster.policy(3, 2, { ackTimeout: 2000 })
const now = 10_000

const peer = (id: PeerState["id"], state: Partial<PeerState> = {}): PeerState => ({
  id,
  link: { _tag: "Up", sinceWallMillis: 0 },
  voting: true,
  notVotingSinceMillis: undefined,
  watermarks: new Map(),
  heard: new Map(),
  drifted: new Set(),
  rejected: new Map(),
  clockSkewMillis: undefined,
  pushes: { count: 0, bytes: 0 },
  ...state
})

const downSince = (at: number): Partial<PeerState> => ({
  link: { _tag: "Down", sinceWallMillis: at, sinceMonotonicMillis: at, verdict: { _tag: "refused" }, detail: "refused" }
})

const situation: Admission.Situation = {
  self: idA,
  own,
  limits: Limits.defaults,
  closing: false,
  broken: undefined,
  low: undefined,
  waiting: 0,
  pendingBytes: 0,
  voting: true,
  peers: [peer(idB), peer(idC)],
  monotonicMillis: now
}

const refusal = (change: Partial<Admission.Situation> = {}, write: unknown = Entry.put("n", "k", "v"), of = policy) => {
  const decided = Admission.admit(write, undefined, () => Result.succeed(of), { ...situation, ...change })
  return Admission.isAdmitted(decided) ? undefined : decided._tag
}

describe("Admission", () => {
  it("admits a write with the policy of its namespace", () => {
    const asked: Array<string> = []
    const admitted = Admission.admit(
      Entry.put("n", "k", "v"),
      undefined,
      (write) => {
        asked.push(...Entry.listOf(write).map(({ namespace }) => namespace))
        return Result.succeed(policy)
      },
      situation
    )
    assert.deepStrictEqual(asked, ["n"])
    assert.deepStrictEqual(admitted, { write: Entry.put("n", "k", "v"), valueBytes: 1, policy })
  })

  it("takes the last write that may wait, and not one more", () => {
    assert.isUndefined(refusal({ waiting: Admission.maxWaitingWrites - 1 }))
    assert.strictEqual(refusal({ waiting: Admission.maxWaitingWrites }), "Overloaded")
  })

  it("takes the last byte that may wait, and not one more", () => {
    const room = Admission.maxPendingBytes - 3
    assert.isUndefined(refusal({ pendingBytes: room }, Entry.put("n", "k", "vvv")))
    assert.strictEqual(refusal({ pendingBytes: room }, Entry.put("n", "k", "vvvv")), "Overloaded")
  })

  it("takes deletes and nothing else while there is nearly no room", () => {
    const low = new QuorumError.DiskLow({ leftBytes: 1, reserveBytes: 2 })
    const [remove, mark] = [Entry.remove("n", "k"), Entry.put("n.idempotency", "k", "v")]
    for (const write of [Entry.put("n", "k", "v"), [remove, Entry.put("n", "l", "v")], mark, [mark]]) {
      assert.strictEqual(refusal({ low }, write), "DiskLow")
    }
    for (const write of [remove, [remove, Entry.remove("n", "l")], [remove, mark]]) {
      assert.isUndefined(refusal({ low }, write))
    }
    assert.strictEqual(refusal({ low }, Entry.put("", "", "v")), "WriteRejected")
  })

  it("a replica that closes, and one that does not know where its log ends, take nothing", () => {
    const broken = new QuorumError.LocalWriteFailed({ detail: "broken" })
    assert.strictEqual(refusal({ closing: true, broken }), "ReplicaClosing")
    assert.strictEqual(refusal({ broken }), "LocalWriteFailed")
  })

  it("a peer counts as gone when it has been down for longer than a write would wait, and not before", () => {
    const gone = peer(idC, downSince(0))
    assert.isUndefined(refusal({ peers: [peer(idB, downSince(now - 2000)), gone] }))
    assert.strictEqual(refusal({ peers: [peer(idB, downSince(now - 2001)), gone] }), "QuorumUnavailable")
  })

  it("so it does when it has said for longer than that that it does not vote, unless this replica does not either", () => {
    const gone = peer(idC, downSince(0))
    const silent = (at: number) => peer(idB, { voting: false, notVotingSinceMillis: at })
    assert.isUndefined(refusal({ peers: [silent(now - 2000), gone] }))
    assert.strictEqual(refusal({ peers: [silent(now - 2001), gone] }), "QuorumUnavailable")
    assert.isUndefined(refusal({ peers: [silent(now - 2001), peer(idC)] }))
    assert.isUndefined(refusal({ peers: [silent(now - 2001), gone], voting: false }))
  })

  it("a peer that drifted or rejects is no help for that log, and is for another", () => {
    const gone = peer(idC, downSince(0))
    const rejection = { seq: 1, detail: "no" }
    for (const [state, answer] of [
      [{ drifted: new Set([own]) }, "QuorumUnavailable"],
      [{ drifted: new Set([other]) }, undefined],
      [{ rejected: new Map([[own, rejection]]) }, "QuorumUnavailable"],
      [{ rejected: new Map([[other, rejection]]) }, undefined]
    ] as const) {
      assert.strictEqual(refusal({ peers: [peer(idB, state), gone] }), answer)
    }
  })

  it("exactly W alive are enough, and with W = 1 nobody else has to be", () => {
    const gone = [peer(idB, downSince(0)), peer(idC, downSince(0))]
    const write = Entry.put("n", "k", "v")
    assert.isUndefined(refusal({ peers: gone }, write, Cluster.policy(3, 1)))
    assert.isUndefined(refusal({}, write, Cluster.policy(3, 3)))
    assert.strictEqual(refusal({ peers: [peer(idB), gone[1]!] }, write, Cluster.policy(3, 3)), "QuorumUnavailable")
  })

  it("says how many are alive, and of each peer why it is not counted", () => {
    const verdictsOf = (...peers: ReadonlyArray<PeerState>) => {
      const error = Admission.unavailable(policy, { ...situation, peers })
      assert.deepInclude({ ...error }, { alive: 1, needed: 2, reason: "unreachable" })
      return { ...error!.verdicts }
    }
    const silent = peer(idB, { voting: false, notVotingSinceMillis: 0 })
    assert.deepStrictEqual(verdictsOf(peer(idB, { drifted: new Set([own]) }), peer(idC, downSince(0))), {
      [idA]: { _tag: "not_tried" },
      [idB]: { _tag: "drifted" },
      [idC]: { _tag: "refused" }
    })
    assert.deepStrictEqual(verdictsOf(silent, peer(idC, downSince(0))), {
      [idA]: { _tag: "not_tried" },
      [idB]: { _tag: "refused", detail: "it does not vote" },
      [idC]: { _tag: "refused" }
    })
  })
})
