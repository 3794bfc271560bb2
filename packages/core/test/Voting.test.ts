import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { HybridLogicalClock, LogId, ReplicaId } from "../src/index.ts"
import type { Chain, Watermark } from "../src/adapter.ts"
import type * as BackupOrigin from "../src/log/BackupOrigin.ts"
import * as Voting from "../src/peer/internal/Voting.ts"

const ids = [..."abcdefg"].map((name) => ReplicaId.make(name))
const [a, b, c, d] = ids as [ReplicaId.ReplicaId, ReplicaId.ReplicaId, ReplicaId.ReplicaId, ReplicaId.ReplicaId]
const incarnation = (n: number) => n.toString(16).padStart(16, "0") as LogId.Incarnation
const log = LogId.make(a, incarnation(1))
const at = (seq: number): Watermark.Watermark => ({ log, seq, chain: "00000000000000ff" as Chain.Chain })
const answer = (change: Partial<Voting.Answer> = {}): Voting.Answer => ({
  incarnation: incarnation(1),
  voting: true,
  blank: false,
  restoredFrom: undefined,
  vector: [],
  floor: HybridLogicalClock.zero,
  everSwept: HybridLogicalClock.zero,
  ...change
})
const blank = answer({ voting: false, blank: true })

const decide = (
  peers: ReadonlyArray<ReplicaId.ReplicaId>,
  answers: ReadonlyArray<readonly [ReplicaId.ReplicaId, Voting.Answer]>,
  {
    blank = false,
    givenUp = [],
    held = 0,
    restoredFrom
  }: {
    blank?: boolean
    givenUp?: Array<ReplicaId.ReplicaId>
    held?: number
    restoredFrom?: BackupOrigin.BackupOrigin
  } = {}
) =>
  Voting.decide({
    peers,
    blank,
    restoredFrom,
    answers: new Map(answers),
    givenUp: new Set(givenUp),
    holds: (_, { seq }) => seq <= held
  })

describe("who votes", () => {
  it("L55 leaves recovery when N - M + 1 voting members have answered, and not one earlier", () => {
    for (const [n, needed] of [
      [2, 1],
      [3, 2],
      [4, 2],
      [5, 3],
      [6, 3],
      [7, 4]
    ] as const) {
      assert.strictEqual(Voting.neededOf(n), needed)
      const peers = ids.slice(1, n)
      const answers = peers.map((peer) => [peer, answer()] as const)
      assert.isUndefined(decide(peers, answers.slice(0, needed - 1)))
      assert.strictEqual(decide(peers, answers.slice(0, needed)), "recovered")
    }
  })

  it("L55 an answer of a member that does not vote is none", () => {
    assert.isUndefined(
      decide(
        [b, c],
        [
          [b, answer()],
          [c, answer({ voting: false })]
        ]
      )
    )
  })

  it("holds all that those who answered held then, to the last entry", () => {
    const answers = [
      [b, answer({ vector: [at(5)] })],
      [c, answer({ vector: [at(3)] })]
    ] as const
    assert.isUndefined(decide([b, c], answers, { held: 4 }))
    assert.strictEqual(decide([b, c], answers, { held: 5 }), "recovered")
  })

  it("asks anew for what a member holds that has given up a side of a fork since it said so", () => {
    const first = Voting.heard(new Map(), b, answer({ vector: [at(5)] }))
    const shorter = Voting.heard(first, b, answer({ vector: [at(4)] }))
    assert.deepStrictEqual(shorter.get(b)?.vector, [at(4)])
    const forked = { ...at(5), chain: "00000000000000ee" as Chain.Chain }
    assert.deepStrictEqual(Voting.heard(first, b, answer({ vector: [forked] })).get(b)?.vector, [forked])
    assert.strictEqual(Voting.heard(first, b, answer({ vector: [at(5)] })), first)
    assert.strictEqual(Voting.heard(first, b, answer({ vector: [] })).get(b)?.vector.length, 0)
  })

  it("asks for what a voting member said first, so that it ends under load, until that member has another life", () => {
    const first = Voting.heard(new Map(), b, answer({ vector: [at(5)] }))
    const later = Voting.heard(first, b, answer({ vector: [at(9)] }))
    assert.deepStrictEqual(later.get(b)?.vector, [at(5)])
    // Also where it says otherwise whether it was blank.
    const founder = Voting.heard(first, b, answer({ blank: true, vector: [at(9)] }))
    assert.deepStrictEqual([founder.get(b)?.vector, founder.get(b)?.blank], [[at(5)], true])
    const other = Voting.heard(first, b, answer({ incarnation: incarnation(2), vector: [at(9)] }))
    assert.deepStrictEqual(other.get(b)?.vector, [at(9)])
    assert.strictEqual(Voting.fallen(first, b, incarnation(1)), first)
    assert.isFalse(Voting.fallen(first, b, incarnation(2)).has(b))
    // What it said before it voted says nothing of what it lacks.
    const before = Voting.heard(new Map(), b, answer({ voting: false, vector: [at(1)] }))
    assert.deepStrictEqual(Voting.heard(before, b, answer({ vector: [at(5)] })).get(b)?.vector, [at(5)])
  })

  it("begins when all N are blank, and neither when one is not nor when one has not answered", () => {
    assert.strictEqual(
      decide(
        [b, c],
        [
          [b, blank],
          [c, blank]
        ],
        { blank: true }
      ),
      "founded"
    )
    assert.isUndefined(decide([b, c], [[b, blank]], { blank: true }))
    assert.isUndefined(
      decide(
        [b, c],
        [
          [b, blank],
          [c, answer({ voting: false })]
        ],
        { blank: true }
      )
    )
    assert.isUndefined(
      decide(
        [b, c],
        [
          [b, blank],
          [c, blank]
        ]
      )
    )
    assert.isUndefined(
      decide(
        [b, c],
        [
          [b, blank],
          [c, answer()]
        ],
        { blank: true }
      )
    )
  })

  it("NoResurrection: begins with one backup, or with none, of all who are waited for", () => {
    const backup = (check: string) => ({ replica: a, takenAt: 1, check: check.padStart(16, "0") as Chain.Chain })
    const all = (of?: string, other = of) =>
      [of, other].map((check, i) => {
        const restoredFrom = check === undefined ? undefined : backup(check)
        return [[b, c][i]!, { ...blank, restoredFrom }] as const
      })
    const from = (check: string) => ({ blank: true, restoredFrom: backup(check) })
    assert.strictEqual(decide([b, c], all("1"), from("1")), "founded")
    assert.isUndefined(decide([b, c], all("1"), from("2")))
    assert.isUndefined(decide([b, c], all("1", "2"), from("1")))
    assert.isUndefined(decide([b, c], all(), from("1")))
    assert.isUndefined(decide([b, c], all("1"), { blank: true }))
    assert.strictEqual(decide([b, c], all("1", "2"), { ...from("1"), givenUp: [c] }), "founded")
    // Whoever recovers from members that go on holds what they hold, whatever it was filled from.
    const living = [b, c].map((peer) => [peer, answer({ restoredFrom: backup("1") })] as const)
    assert.strictEqual(decide([b, c], living, from("2")), "recovered")
  })

  it("is decided at once without peers", () => {
    assert.strictEqual(decide([], [], { blank: true }), "founded")
    assert.strictEqual(decide([], []), "recovered")
  })

  it("waits for nothing from members that are given up, and for all the others that would be needed", () => {
    assert.strictEqual(decide([b, c], [[b, blank]], { blank: true, givenUp: [c] }), "founded")
    assert.isUndefined(decide([b, c], [], { givenUp: [c] }))
    assert.strictEqual(decide([b, c], [[b, answer()]], { givenUp: [c] }), "recovered")
    assert.strictEqual(decide([b, c], [], { givenUp: [b, c] }), "recovered")
    assert.isUndefined(
      decide(
        [b, c, d, ids[4]!],
        [
          [b, answer()],
          [c, answer()]
        ],
        { givenUp: [d] }
      )
    )
    // What it said is not asked for either.
    assert.strictEqual(
      decide(
        [b, c],
        [
          [b, answer()],
          [c, answer({ vector: [at(9)] })]
        ],
        { givenUp: [c] }
      ),
      "recovered"
    )
  })

  const draw = Schema.Array(Schema.Literals([0, 1, 2, 3, 4, 5, 6]))
  it.prop(
    "L55 what any majority acked, the former life among it, is held by one of those whose answers end a recovery",
    { n: Arbitrary.schema(Schema.Literals([2, 3, 4, 5, 6, 7])), x: Arbitrary.schema(draw), y: Arbitrary.schema(draw) },
    ({ n, x, y }) => {
      const peers = ids.slice(1, n)
      const pick = (drawn: ReadonlyArray<number>, count: number) => {
        const order = [...drawn, 0, 1, 2, 3, 4, 5].map((i) => peers[i % peers.length]!)
        return Array.from(new Set(order)).slice(0, count)
      }
      const ackers = pick(x, Math.floor(n / 2))
      // The fewest whose answers are enough.
      for (let count = 0; count < n; count++) {
        const helpers = pick(y, count)
        const answers = helpers.map((peer) => [peer, answer({ vector: ackers.includes(peer) ? [at(1)] : [] })] as const)
        if (decide(peers, answers, { held: 0 }) === "recovered") {
          assert.fail(`${helpers.join()} of ${n} are enough, and ${ackers.join()} acked`)
        }
        if (decide(peers, answers, { held: 1 }) === "recovered") return
      }
      assert.fail("never recovered")
    }
  )
})
