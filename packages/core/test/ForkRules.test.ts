/** Which of two sides of a log stays, where they part, and what is remembered of the other. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { type LogId } from "../src/index.ts"
import { type Chain, type RunId } from "../src/adapter.ts"
import * as Fork from "../src/peer/internal/Fork.ts"
import * as DamagedRange from "../src/log/DamagedRange.ts"
import * as GivenUp from "../src/peer/GivenUp.ts"

const side = (wallTime: number, chain: string, tie = "00000000000000aa"): Fork.Side => ({
  clock: { wallTime, logical: 0 },
  tie: tie as RunId.RunId,
  chain: chain as Chain.Chain
})

/** A path in the tree of all copies of a log that there are. */
type Path = ReadonlyArray<Fork.Side>

const sameAt = (a: Path, b: Path, seq: number): boolean => a[seq - 1]!.chain === b[seq - 1]!.chain

/** Where two paths differ first, by asking for single places, as replicas do. */
const forkOf = (a: Path, b: Path): number | undefined => {
  const last = Math.min(a.length, b.length)
  let agreed = 0
  let differs: number | undefined
  for (let seq: number | undefined = last; seq !== undefined && seq > 0; seq = Fork.between(agreed, differs ?? last)) {
    if (sameAt(a, b, seq)) agreed = seq
    else differs = seq
  }
  return differs
}

describe("of two sides of a log", () => {
  it("the one that was begun earlier stays, and of two of one version that with the smaller chain", () => {
    assert.isTrue(Fork.stays(side(1, "2"), side(2, "1")))
    assert.isFalse(Fork.stays(side(2, "1"), side(1, "2")))
    assert.isTrue(Fork.stays(side(1, "2", "0000000000000001"), side(1, "1", "0000000000000002")))
    assert.isTrue(Fork.stays(side(1, "1"), side(1, "2")))
    assert.isFalse(Fork.stays(side(1, "2"), side(1, "1")))
  })

  it("the first entry that differs is found in a few steps, wherever it is", () => {
    const long: Path = Array.from({ length: 100_000 }, (_, i) => side(i, `a${i}`))
    for (const seq of [1, 2, 3, 77, 99_999, 100_000]) {
      const other = long.map((entry, i) => (i + 1 < seq ? entry : side(i, `b${i}`)))
      assert.strictEqual(forkOf(long, other), seq)
    }
    assert.isUndefined(forkOf(long, long.slice(0, 500)))
  })

  it("Convergence: all end with the same one, whoever meets whom and when, and every replica still has all that it had", () => {
    let state = 1
    const below = (n: number): number =>
      Math.floor(((state = (state * 1103515245 + 12345) % 2147483648) / 2147483648) * n)
    for (let round = 0; round < 2000; round++) {
      const size = 2 + below(4)
      let names = 0
      const paths: Array<Path> = []
      for (let i = 0; i < size; i++) {
        const root: Path = i === 0 ? [] : paths[below(i)]!
        const kept = root.slice(0, below(root.length + 1))
        // Clocks within a log need not rise.
        paths.push([...kept, ...Array.from({ length: below(5) }, () => side(below(4), `${names++}`, `${below(2)}`))])
      }
      const had = paths.map((path) => path.map(({ chain }) => chain))
      const own: Array<Array<string>> = paths.map(() => [])
      /** Replica i meets replica j, and looks whether to go on with what that holds. Whether anything changed. */
      const meet = (i: number, j: number): boolean => {
        const [mine, theirs] = [paths[i]!, paths[j]!]
        const seq = forkOf(mine, theirs)
        if (seq !== undefined && Fork.stays(mine[seq - 1]!, theirs[seq - 1]!)) return false
        if (seq === undefined && mine.length >= theirs.length) return false
        if (seq !== undefined) own[i]!.push(...mine.slice(seq - 1).map(({ chain }) => chain))
        // A page at a time, and others come in between.
        paths[i] = theirs.slice(0, Math.max(seq ?? mine.length + 1, below(theirs.length + 1)))
        const all = new Set([...paths[i]!.map(({ chain }) => chain), ...own[i]!])
        for (const chain of had[i]!) assert.isTrue(all.has(chain as never), `round ${round}: ${chain} is gone at ${i}`)
        return true
      }
      let steps = 0
      for (let quiet = 0; quiet < 100; steps++) {
        const i = below(size)
        const j = below(size)
        quiet = i !== j && meet(i, j) ? 0 : quiet + 1
      }
      for (const path of paths) assert.deepStrictEqual(path, paths[0], `round ${round}`)
      assert.isBelow(steps, 2000)
    }
  })
})

describe("what was committed again", () => {
  it("is remembered as few parts, and the oldest of many sides is forgotten", () => {
    const part = { from: 1, count: 2, log: "b@00000000000000bb" as LogId.LogId, at: 5 }
    const more = { ...part, from: 3, at: 7, count: 1 }
    assert.deepStrictEqual(GivenUp.joined([part], more), [{ ...part, count: 3 }])
    assert.strictEqual(GivenUp.joined([part], { ...more, at: 8 }).length, 2)
    assert.strictEqual(GivenUp.joined([part], { ...more, from: 4 }).length, 2)
    const one: GivenUp.GivenUp = {
      log: part.log,
      after: 0,
      upTo: 3,
      because: "fork",
      peer: null,
      again: [part],
      wallMillis: 0
    }
    let known: ReadonlyArray<GivenUp.GivenUp> = []
    for (let i = 0; i < 70; i++) known = GivenUp.added(known, { ...one, after: i })
    assert.deepStrictEqual([known.length, known[0]!.after, known[63]!.after], [64, 6, 69])
    assert.strictEqual(GivenUp.textOf(one), "b@00000000000000bb:5 to 6")
  })
})

describe("what follows a lost range", () => {
  const log = "b@00000000000000bb" as LogId.LogId
  /** Places of a log of eight entries. */
  const ranges = Arbitrary.schema(
    Schema.Array(Schema.Tuple([Schema.Literals([1, 2, 3, 4, 5, 6, 7, 8]), Schema.Literals([0, 1, 2])]))
  )
  const placesOf = ({ from, to }: { readonly from: number; readonly to: number }) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i)

  it.prop(
    "is committed again but for what is damaged, each entry once, in whatever order ranges are lost and mended",
    { lost: ranges, mended: ranges },
    ({ lost, mended }) => {
      const upTo = 8
      let known: ReadonlyArray<GivenUp.GivenUp> = []
      let damaged: ReadonlyArray<DamagedRange.DamagedRange> = []
      const again: Array<number> = []
      const rangeOf = ([from, more]: readonly [number, number]) => ({ log, from, to: Math.min(upTo, from + more) })
      for (const [step, drawn] of lost.entries()) {
        damaged = DamagedRange.joined([...damaged, rangeOf(drawn)])
        const healed = mended[step]
        if (healed !== undefined) damaged = DamagedRange.without(damaged, rangeOf(healed))
        for (const range of damaged) {
          for (const left of GivenUp.leftAfter(range, upTo, known, damaged)) {
            assert.isFalse(damaged.some((each) => DamagedRange.overlaps(each, left)))
            again.push(...placesOf(left))
            const more = { after: left.from - 1, upTo: left.to, because: "lost", peer: null } as const
            known = GivenUp.added(known, { log, ...more, again: [], wallMillis: 0 })
          }
        }
        const first = damaged[0]
        if (first === undefined) continue
        const gone = damaged.flatMap(placesOf)
        for (let seq = first.to + 1; seq <= upTo; seq++) {
          assert.strictEqual(again.includes(seq) || gone.includes(seq), true, `${seq} is left behind`)
        }
      }
      assert.strictEqual(new Set(again).size, again.length, "an entry was committed again twice")
    }
  )

  it("is not forgotten, however much is committed again, since it would be again", () => {
    const one = { log, after: 1, upTo: 2, because: "lost", peer: null, again: [], wallMillis: 0 } as const
    let known: ReadonlyArray<GivenUp.GivenUp> = []
    for (let i = 0; i < 70; i++) known = GivenUp.added(known, { ...one, after: i, upTo: i + 1 })
    for (let i = 0; i < 70; i++) known = GivenUp.added(known, { ...one, because: "fork" })
    assert.deepStrictEqual(GivenUp.leftAfter({ log, from: 0, to: 0 }, 70, known, []), [])
    assert.strictEqual(known.length, 134)
  })
})
