import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Life from "../src/identity/Life.ts"
import { LogId, ReplicaId } from "../src/index.ts"
import * as RunId from "../src/identity/RunId.ts"
import * as Absence from "../src/peer/internal/Absence.ts"
import * as Voting from "../src/peer/internal/Voting.ts"

const ids = [..."abcdefg"].map((name) => ReplicaId.make(name))
const incarnation = (n: number) => `${n.toString(16).padStart(12, "0")}0000` as LogId.Incarnation
const life = (n: number): Life.Life => ({ incarnation: incarnation(n), starts: 1, run: RunId.none, startedAt: 0 })
const lives = (n: number): Life.Lives => Object.fromEntries(ids.slice(0, n).map((id) => [id, life(1000)]))
const patience: Absence.Patience = { millis: 100, bytes: 100, leastMillis: 10 }
const here: Absence.Heard = { silentMillis: 0, behindBytes: 0, votes: true, marks: {} }
const gone: Absence.Heard = { silentMillis: 100, behindBytes: 0, votes: false, marks: {} }

const below = (n: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: n - 1 }))

/** The members but the first, who decides, in an order of letters: whether each is there. */
const situation = (
  peers: ReadonlyArray<Absence.Heard>,
  change: Partial<Absence.Situation> = {}
): Absence.Situation => ({
  peers: new Map(peers.map((heard, i) => [ids[i + 1]!, heard])),
  lives: lives(peers.length + 1),
  marks: {},
  lapsed: [],
  patience,
  ...change
})

describe("who is marked as away", () => {
  it("has been silent for as long, or behind by as much, as is too long", () => {
    const marksOf = (heard: Partial<Absence.Heard>) =>
      Object.keys(Absence.toMark(situation([here, { ...gone, ...heard }])))
    assert.deepStrictEqual(marksOf({}), ["c"])
    assert.deepStrictEqual(marksOf({ silentMillis: 99 }), [])
    assert.deepStrictEqual(marksOf({ silentMillis: 10, behindBytes: 100 }), ["c"])
    assert.deepStrictEqual(marksOf({ silentMillis: 10, behindBytes: 99 }), [])
    assert.deepStrictEqual(marksOf({ silentMillis: 9, behindBytes: 100 }), [])
  })

  it("is marked by who hears a majority, in the life in which it is known, once", () => {
    assert.deepStrictEqual(Absence.toMark(situation([gone, gone])), {})
    assert.deepStrictEqual(Absence.toMark(situation([gone])), {})
    assert.deepStrictEqual(Object.keys(Absence.toMark(situation([here, here, gone, gone]))), ["d"])
    assert.deepStrictEqual(Absence.toMark(situation([here, gone], { lapsed: [ids[1]!] })), {})
    assert.deepStrictEqual(Object.keys(Absence.toMark(situation([here, gone], { lapsed: [ids[2]!] }))), ["c"])
    assert.deepStrictEqual(Absence.toMark(situation([here, gone, gone, gone])), {})
    const marks = { [ids[3]!]: incarnation(1000), [ids[4]!]: incarnation(1000) }
    assert.deepStrictEqual(Absence.toMark(situation([here, here, gone, gone], { marks })), {})
    const leftOut = { ...lives(3), [ids[2]!]: Life.without(life(1000)) }
    assert.deepStrictEqual(Absence.toMark(situation([here, gone], { lives: leftOut })), {})
    assert.deepStrictEqual(Absence.toMark(situation([here, gone], { lives: {} })), {})
  })

  it("is left out when a majority has marked the life in which it is known, and not one fewer", () => {
    const marks = { [ids[2]!]: incarnation(1000) }
    const sayer = { ...here, marks }
    const leftOut = (peers: ReadonlyArray<Absence.Heard>, change: Partial<Absence.Situation> = { marks }) =>
      Object.keys(Absence.toLeaveOut(situation(peers, change)))
    assert.deepStrictEqual(leftOut([sayer, gone]), ["c"])
    assert.deepStrictEqual(leftOut([here, gone]), [])
    assert.deepStrictEqual(leftOut([sayer, gone], {}), [])
    assert.deepStrictEqual(leftOut([{ ...sayer, votes: false }, gone]), [])
    assert.deepStrictEqual(leftOut([{ ...here, marks: { [ids[2]!]: incarnation(999) } }, gone]), [])
    assert.deepStrictEqual(leftOut([sayer, gone, here, here]), [])
    assert.deepStrictEqual(leftOut([sayer, gone, sayer, here]), ["c"])
    assert.deepStrictEqual(
      leftOut([sayer, gone], { marks, lives: { ...lives(3), [ids[2]!]: Life.without(life(1000)) } }),
      []
    )
  })

  it.prop(
    "leaves enough members that vote to bring one back, whoever hears whom",
    {
      n: Arbitrary.schema(Schema.Literals([2, 3, 4, 5, 6, 7])),
      cut: Arbitrary.array(Arbitrary.schema(Schema.Tuple([below(7), below(7)])), { maxLength: 12 })
    },
    ({ cut, n }) => {
      // Who hears whom is the same from both sides; all mark, and then leave out.
      const hears = (i: number, j: number) => !cut.some(([x, y]) => (x === i && y === j) || (x === j && y === i))
      const members = ids.slice(0, n)
      const marks: Array<Absence.Marks> = members.map(() => ({}))
      const of = (i: number): Absence.Situation => {
        const heard = members.map((id, j) => [id, hears(i, j) ? { ...here, marks: marks[j]! } : gone] as const)
        return {
          peers: new Map(heard.filter((_, j) => j !== i)),
          lives: lives(n),
          marks: marks[i]!,
          lapsed: [],
          patience
        }
      }
      for (let i = 0; i < n; i++) marks[i] = Absence.toMark(of(i))
      const leftOut = new Set(members.flatMap((_, i) => Object.keys(Absence.toLeaveOut(of(i)))))
      assert.isAtLeast(n - leftOut.size, Voting.neededOf(n))
    }
  )
})

describe("a mark that was taken back", () => {
  const noted: Absence.Noted = { turn: 1, marks: { [ids[1]!]: incarnation(1000) }, lapsed: {} }
  const peers = ids.slice(1, 4)
  const heardIn = (life: number, voting: boolean, from = noted) =>
    Absence.onHeard(from, peers, ids[1]!, { incarnation: incarnation(life), voting })
  const lapsed = heardIn(1000, true)

  it("counts until all others have said that they did not use it", () => {
    assert.deepStrictEqual(lapsed, {
      turn: 2,
      marks: {},
      lapsed: { [ids[1]!]: { incarnation: incarnation(1000), unheard: [ids[2]!, ids[3]!] } }
    })
    // c was told with this answer, or not: then it may use it yet.
    assert.strictEqual(Absence.onAnswer(lapsed, lives(4), ids[2]!, noted.marks), lapsed)
    const one = Absence.onAnswer(lapsed, lives(4), ids[2]!, {})
    assert.deepStrictEqual(one.lapsed[ids[1]!]?.unheard, [ids[3]!])
    assert.deepStrictEqual(Absence.onAnswer(one, lives(4), ids[3]!, {}).lapsed, {})
    const leftOut = { ...lives(4), [ids[1]!]: Life.without(life(1000)) }
    assert.strictEqual(Absence.onAnswer(one, leftOut, ids[3]!, {}), one)
  })

  it("counts until the member votes in a new life", () => {
    const anew = 1000 + 2 ** 20
    assert.strictEqual(heardIn(anew, false), noted)
    assert.deepStrictEqual(heardIn(anew, true), { turn: 2, marks: {}, lapsed: {} })
    assert.strictEqual(heardIn(anew, false, lapsed), lapsed)
    assert.deepStrictEqual(heardIn(anew, true, lapsed), { turn: 3, marks: {}, lapsed: {} })
    assert.strictEqual(heardIn(1000, true, lapsed), lapsed)
  })

  it("counts as much when the member has booted meanwhile: who has left it out has left that life out too", () => {
    const booted = Number.parseInt(LogId.incarnationAfterBoot(incarnation(1000), 0).slice(0, 12), 16)
    for (const voting of [true, false]) {
      assert.deepStrictEqual(heardIn(booted, voting), lapsed)
      assert.strictEqual(heardIn(booted, voting, lapsed), lapsed)
    }
    assert.strictEqual(heardIn(999, true), noted, "it may be left out as long as it is heard in an older life alone")
  })

  it("is so of so few that those who are left out leave enough to bring one back", () => {
    for (let n = 2; n < 30; n++) {
      const leftOut = Math.floor((n * Absence.mostMarked(n)) / Voting.majorityOf(n))
      assert.isAtLeast(n - leftOut, Voting.neededOf(n))
    }
    assert.deepStrictEqual([3, 4, 5, 6, 7].map(Absence.mostMarked), [1, 2, 1, 2, 2])
  })
})

describe("the life that nobody lives", () => {
  it("is newer than what the one before becomes by boots, and older than what it begins anew with", () => {
    const before = incarnation(1_700_000_000_000)
    const { incarnation: without, starts } = Life.without({ ...life(0), incarnation: before })
    let booted = before
    for (let i = 0; i < 60_000; i++) booted = LogId.incarnationAfterBoot(booted, 0xfffff)
    assert.isBelow(Number.parseInt(booted.slice(0, 12), 16) - 1_700_000_000_000, 2 ** 20)
    assert.isTrue(booted < without)
    assert.isTrue(LogId.incarnationAt(0, 0, before) > without)
    assert.isFalse(LogId.goesOn(before, without))
    assert.strictEqual(starts, 0)
    assert.deepStrictEqual([Life.isLeftOut(life(1)), Life.isLeftOut(undefined)], [false, false])
  })
})
