/** Stable time: at or before it nothing unknown appears. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { LogId, type ReplicaId } from "../src/index.ts"
import { type Life, RunId } from "../src/adapter.ts"
import * as Floors from "../src/peer/Floors.ts"
import * as Cluster from "./support/cluster.ts"
import { kinds, play, rules, type Rule, type Step } from "./support/floors.ts"

const below = (count: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: count - 1 }))
const Steps = Arbitrary.array(Arbitrary.schema(Schema.Tuple([below(kinds.length), below(4), below(4), below(8)])), {
  minLength: 60,
  maxLength: 200
})

/** Numbers from a seed (mulberry32). */
const numbers = (seed: number) => (below: number) => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below) | 0
}

const drawn = (seed: number): ReadonlyArray<Step> => {
  const pick = numbers(seed)
  return Array.from({ length: 250 }, () => [pick(kinds.length), pick(4), pick(4), pick(8)] as const)
}

const [a, b, c] = ["a", "b", "c"].map((name) => Cluster.id(name)) as [
  ReplicaId.ReplicaId,
  ReplicaId.ReplicaId,
  ReplicaId.ReplicaId
]
const life = (number: number): Life.Life => ({
  incarnation: `000000000000000${number}` as LogId.Incarnation,
  starts: 1,
  run: RunId.none,
  startedAt: 0
})
const lives: Life.Lives = { [a]: life(1), [b]: life(1), [c]: life(1) }
const log = (of: ReplicaId.ReplicaId, number = 1) => LogId.make(of, life(number).incarnation)
const said = (of: ReplicaId.ReplicaId, wallTime: number, more: Partial<Floors.Said> = {}): Floors.Said => ({
  clock: { wallTime, logical: 0 },
  own: { log: log(of), seq: 0 },
  again: 0,
  vector: [],
  lives,
  ...more
})
const hear = (...all: ReadonlyArray<readonly [ReplicaId.ReplicaId, Floors.Said]>): Floors.Floors =>
  all.reduce<Floors.Floors>((floors, [member, said]) => Floors.heard(floors, member, said), new Map())
const holding = (...seqs: ReadonlyArray<number>): Floors.Holdings =>
  new Map([a, b, c].map((member, i) => [member, [{ log: log(a), seq: seqs[i] ?? 0 }]]))

describe("stable time", () => {
  it("is the least floor of all members, and there is none before all have given one", () => {
    const two = hear([a, said(a, 5)], [b, said(b, 7)])
    assert.deepInclude(Floors.look(two, lives, holding()), { clock: undefined, heldBackBy: [c] })
    const all = Floors.heard(two, c, said(c, 6))
    assert.deepInclude(Floors.look(all, lives, holding()), { clock: { wallTime: 5, logical: 0 }, heldBackBy: [a] })
  })

  it("waits until every member holds what was held when a floor was given, and names who does not", () => {
    const held = { vector: [{ log: log(a), seq: 3 }] }
    const floors = hear([a, said(a, 5, { own: { log: log(a), seq: 3 } })], [b, said(b, 5, held)], [c, said(c, 5)])
    const early = Floors.look(floors, lives, holding(3, 3, 2))
    assert.deepInclude(early, { clock: undefined, heldBackBy: [c] })
    assert.deepStrictEqual(Floors.look(early.floors, lives, holding(3, 3, 3)).clock, { wallTime: 5, logical: 0 })
  })

  it("rises under load: what is waited for is not replaced by what asks for more", () => {
    let floors: Floors.Floors = new Map()
    let clock: Floors.Looked["clock"]
    for (let time = 1; time <= 50; time++) {
      const own = { log: log(a), seq: 10 * time }
      floors = Floors.heard(floors, a, said(a, time, { own }))
      for (const member of [b, c]) floors = Floors.heard(floors, member, said(member, time, { vector: [own] }))
      // The others are always some steps behind.
      ;({ clock, floors } = Floors.look(floors, lives, holding(10 * time, 10 * time - 25, 10 * time - 25)))
    }
    assert.isAbove(clock!.wallTime, 40)
  })

  it("counts no floor that was given before a member had the life that it has now", () => {
    const later = { ...lives, [c]: life(2) }
    const own = { log: log(c, 2), seq: 0 }
    const floors = hear([a, said(a, 5)], [b, said(b, 5, { lives: later })], [c, said(c, 5, { lives: later, own })])
    assert.deepInclude(Floors.look(floors, later, holding()), { clock: undefined, heldBackBy: [a] })
    const again = Floors.heard(floors, a, said(a, 5, { lives: later }))
    assert.deepStrictEqual(Floors.look(again, later, holding()).clock, { wallTime: 5, logical: 0 })
  })

  it("counts no floor of less of a log than has entries that were committed again", () => {
    const others = [
      [b, said(b, 5)],
      [c, said(c, 5)]
    ] as const
    const before = hear([a, said(a, 5)], ...others)
    assert.isDefined(Floors.look(before, lives, holding()).clock)
    const own = { log: log(a), seq: 4 }
    const waiting = Floors.heard(before, a, said(a, 6, { again: 5, own }))
    assert.isUndefined(Floors.look(waiting, lives, holding(9, 9, 9)).clock)
    const done = Floors.heard(waiting, a, said(a, 6, { again: 5, own: { log: log(a), seq: 5 } }))
    assert.isUndefined(Floors.look(done, lives, holding(9, 9, 4)).clock)
    assert.deepStrictEqual(Floors.look(done, lives, holding(9, 9, 5)).clock, { wallTime: 5, logical: 0 })
  })

  it.prop(
    "StableTimeIsStable: nothing unknown appears at or before it, whatever is lost",
    { steps: Steps },
    ({ steps }) => {
      assert.isUndefined(play(steps).appeared)
    }
  )

  it("StableTimeIsStable: in long runs, in which it rises", () => {
    let risen = 0
    for (let seed = 1; seed <= 500; seed++) {
      const { appeared, stable } = play(drawn(seed))
      assert.isUndefined(appeared, `seed ${seed}`)
      if (stable > 0) risen++
    }
    assert.isAbove(risen, 450)
  })

  for (const rule of rules) {
    it(`StableTimeIsStable: is broken without this: ${rule}`, () => {
      const first = rare[rule] ?? 1
      const seeds = Array.from({ length: 5000 }, (_, i) => first + i)
      assert.isDefined(seeds.find((seed) => play(drawn(seed), rule).appeared !== undefined))
    })
  }
})

/** From which seed on to look for what is rare. */
const rare: Partial<Record<Rule, number>> = {
  "a floor says all that its giver holds": 150,
  "floors are given knowing the same lives": 1850
}
