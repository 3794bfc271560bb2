import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Option, Schema } from "effect"
import { HybridLogicalClock, type LogId } from "../src/index.ts"
import { RecordIndex, RecordKey, RunId } from "../src/adapter.ts"

/** What follows a key; all keys when there is none. */
const after = (key: RecordKey.RecordKey | undefined): RecordKey.Range =>
  key === undefined ? {} : RecordKey.beyond({}, key, false)

const { compare } = RecordIndex
const { compare: compareKeys, keyOf } = RecordKey

/** Names that share beginnings, hold each other, and lie where UTF-16 and UTF-8 order differ. */
const Name = Arbitrary.map(
  Arbitrary.array(
    Arbitrary.schema(
      Schema.Literals([
        "a",
        "b",
        "\u0001",
        "\u007f",
        "\u0080",
        "\u07ff",
        "\u0800",
        "\ud7ff",
        "\ue000",
        "\uf8ff",
        "\uffff",
        "\u{10000}",
        "😀",
        "\u{10ffff}"
      ])
    ),
    { minLength: 1, maxLength: 4 }
  ),
  (characters) => characters.join("")
)
const ShortName = Arbitrary.schema(Schema.Literals(["a", "b", "ab", "\uffff", "😀"]))

const Clock = Arbitrary.schema(Schema.Struct({ wallTime: Schema.Literals([1, 2]), logical: Schema.Literals([0, 1]) }))
const Place = Arbitrary.all({
  log: Arbitrary.schema(Schema.Literals(["a@0000000000000001", "a@0000000000000002", "b@0000000000000001"])),
  seq: Arbitrary.schema(Schema.Literals([1, 2, 10])),
  clock: Clock,
  tie: Arbitrary.schema(Schema.Literals(["0000000000000001", "0000000000000002"]))
})
const pointer = (
  {
    clock,
    log,
    seq,
    tie = RunId.none
  }: {
    readonly log: string
    readonly seq: number
    readonly clock: HybridLogicalClock.HybridLogicalClock
    readonly tie?: string | undefined
  },
  namespace = "n",
  key = "k",
  deleted = false
): RecordIndex.Pointer => ({ namespace, key, log: log as LogId.LogId, seq, clock, tie: tie as RunId.RunId, deleted })

const Pointers = Arbitrary.array(
  Arbitrary.map(
    Arbitrary.all({ place: Place, namespace: ShortName, key: ShortName, deleted: Arbitrary.schema(Schema.Boolean) }),
    ({ deleted, key, namespace, place }) => pointer(place, namespace, key, deleted)
  ),
  { maxLength: 40 }
)
/** An entry has one place and one content: of pointers to the same place only the first is kept. */
const distinctPlaces = (pointers: ReadonlyArray<RecordIndex.Pointer>): Array<RecordIndex.Pointer> => {
  const places = new Map<string, RecordIndex.Pointer>()
  for (const pointer of pointers) {
    const place = `${pointer.log}:${pointer.seq}`
    if (!places.has(place)) places.set(place, pointer)
  }
  return Array.from(places.values())
}

const shuffled = <A>(items: ReadonlyArray<A>, seed: number): Array<A> => {
  const result = items.slice()
  for (let i = result.length - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
    const j = seed % (i + 1)
    ;[result[i], result[j]] = [result[j]!, result[i]!]
  }
  return result
}

const everything = (index: RecordIndex.RecordIndex["Service"]) => index.scan({ limit: Number.MAX_SAFE_INTEGER })

const noProgress: RecordIndex.Progress = new Map()

describe("RecordIndex", () => {
  describe("compare", () => {
    it.prop(
      "is a total order over places",
      { places: Arbitrary.array(Place, { minLength: 3, maxLength: 3 }) },
      ({ places }) => {
        const [a, b, c] = places.map((place) => pointer(place)) as [
          RecordIndex.Pointer,
          RecordIndex.Pointer,
          RecordIndex.Pointer
        ]
        assert.strictEqual(Math.sign(compare(a, b)) + Math.sign(compare(b, a)), 0)
        assert.strictEqual(compare(a, a), 0)
        assert.strictEqual(
          compare(a, b) === 0,
          a.log === b.log && a.seq === b.seq && a.tie === b.tie && HybridLogicalClock.compare(a.clock, b.clock) === 0
        )
        if (compare(a, b) <= 0 && compare(b, c) <= 0) assert.isAtMost(compare(a, c), 0)
      },
      { arbitrary: { runs: 500 } }
    )

    it("L33 the later clock wins, as a number; then the tie; of copies the log, then the sequence", () => {
      const at = (wallTime: number, logical: number, log: string, seq: number, tie?: string) =>
        pointer({ log: `${log}@0000000000000001`, seq, clock: { wallTime, logical }, tie })
      assert.isAbove(compare(at(9, 9, "a", 1, "0000000000000002"), at(9, 9, "b", 9, "0000000000000001")), 0)
      assert.isAbove(compare(at(9, 9, "a", 1, "f000000000000000"), at(9, 9, "b", 9, "0fffffffffffffff")), 0)
      assert.isAbove(compare(at(10, 0, "a", 1), at(9, 5, "b", 9)), 0)
      assert.isAbove(compare(at(9, 10, "a", 1), at(9, 9, "b", 9)), 0)
      assert.isAbove(compare(at(9, 9, "b", 1), at(9, 9, "a", 9)), 0)
      assert.isAbove(compare(at(9, 9, "a", 10), at(9, 9, "a", 9)), 0)
    })
  })

  describe("compareKeys", () => {
    it.prop(
      "is the order of the UTF-8 bytes, of the namespace and then of the key",
      { a: Name, b: Name, c: Name, d: Name },
      ({ a, b, c, d }) => {
        const bytes = (x: string, y: string) => Math.sign(Buffer.compare(Buffer.from(x), Buffer.from(y)))
        assert.strictEqual(Math.sign(compareKeys({ namespace: "n", key: a }, { namespace: "n", key: b })), bytes(a, b))
        assert.strictEqual(
          Math.sign(compareKeys({ namespace: a, key: c }, { namespace: b, key: d })),
          bytes(a, b) === 0 ? bytes(c, d) : bytes(a, b)
        )
      },
      { arbitrary: { runs: 1000 } }
    )

    it("is the order of the UTF-8 bytes around every boundary of UTF-16", () => {
      const characters = ["\u0001", "\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufdd0", "\uffff"]
      characters.push("\u{10000}", "\u{103ff}", "\u{10400}", "\u{1ffff}", "\u{10ffff}")
      const names = characters.flatMap((character) => [
        character,
        `a${character}`,
        `${character}a`,
        character + character
      ])
      for (const a of names) {
        for (const b of names) {
          const order = compareKeys({ namespace: "n", key: a }, { namespace: "n", key: b })
          assert.strictEqual(Math.sign(order), Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))))
        }
      }
    })

    it("keyOf tells keys apart that are alike when joined", () => {
      assert.notStrictEqual(keyOf("a", "bc"), keyOf("ab", "c"))
    })
  })

  describe("makeMemory", () => {
    it.effect.prop(
      "OrderFree: whatever the order and the steps of the merges, the index is the same",
      { pointers: Pointers, seed: Arbitrary.schema(Schema.Int) },
      ({ pointers, seed }) =>
        Effect.gen(function* () {
          const distinct = distinctPlaces(pointers)
          const newest = new Map<string, RecordIndex.Pointer>()
          for (const pointer of distinct) {
            const id = keyOf(pointer.namespace, pointer.key)
            const held = newest.get(id)
            if (held === undefined || compare(pointer, held) > 0) newest.set(id, pointer)
          }
          const expected = Array.from(newest.values()).sort(compareKeys)
          for (let round = 0; round < 4; round++) {
            const index = yield* RecordIndex.makeMemory
            let step: Array<RecordIndex.Pointer> = []
            const keys = new Set<string>()
            // Some entries come twice, as they do from two peers.
            for (const pointer of shuffled([...distinct, ...distinct.slice(0, round)], seed + round)) {
              const id = keyOf(pointer.namespace, pointer.key)
              if (keys.has(id) || step.length > round * 3) {
                yield* index.merge(step, noProgress)
                step = []
                keys.clear()
              }
              step.push(pointer)
              keys.add(id)
            }
            yield* index.merge(step, noProgress)
            assert.deepStrictEqual(yield* everything(index), expected)
            for (const pointer of expected) {
              assert.deepStrictEqual(yield* index.get(pointer.namespace, pointer.key), Option.some(pointer))
            }
          }
        })
    )

    it.effect("an older write never replaces a newer one, a delete neither", () =>
      Effect.gen(function* () {
        const index = yield* RecordIndex.makeMemory
        const at = (wallTime: number) => ({ log: "a@0000000000000001", seq: wallTime, clock: { wallTime, logical: 0 } })
        yield* index.merge([pointer(at(5), "n", "k", true)], noProgress)
        yield* index.merge([pointer(at(4), "n", "k")], noProgress)
        assert.isTrue(Option.getOrThrow(yield* index.get("n", "k")).deleted)
        yield* index.merge([pointer(at(6), "n", "k")], noProgress)
        yield* index.merge([pointer(at(5), "n", "k", true)], noProgress)
        assert.isFalse(Option.getOrThrow(yield* index.get("n", "k")).deleted)
        assert.isTrue(Option.isNone(yield* index.get("n", "other")))
      })
    )

    it.effect("progress is what was merged last for each log, and a copy", () =>
      Effect.gen(function* () {
        const index = yield* RecordIndex.makeMemory
        const a = "a@0000000000000001" as LogId.LogId
        const b = "b@0000000000000001" as LogId.LogId
        assert.strictEqual((yield* index.progress).size, 0)
        yield* index.merge([], new Map([[a, 5]]))
        yield* index.merge([], new Map([[b, 2]]))
        const before = yield* index.progress
        yield* index.merge([], new Map([[a, 7]]))
        assert.deepStrictEqual(Array.from(before), [
          [a, 5],
          [b, 2]
        ])
        assert.strictEqual((yield* index.progress).get(a), 7)
      })
    )

    it.effect.prop(
      "scanning page by page visits every key once, in order, deleted ones too",
      { pointers: Pointers, limit: Arbitrary.schema(Schema.Literals([1, 2, 3, 7, 100])) },
      ({ limit, pointers }) =>
        Effect.gen(function* () {
          const index = yield* RecordIndex.makeMemory
          for (const pointer of pointers) yield* index.merge([pointer], noProgress)
          const found: Array<RecordIndex.Pointer> = []
          while (true) {
            const page = yield* index.scan({ ...after(found[found.length - 1]), limit })
            assert.isAtMost(page.length, limit)
            found.push(...page)
            if (page.length < limit) break
          }
          const keys = new Set(pointers.map(({ key, namespace }) => keyOf(namespace, key)))
          assert.strictEqual(found.length, keys.size)
          assert.deepStrictEqual(found, yield* everything(index))
          for (let i = 1; i < found.length; i++) assert.isBelow(compareKeys(found[i - 1]!, found[i]!), 0)
        })
    )

    it.effect("a scan starts after a key, whether the index knows that key or not", () =>
      Effect.gen(function* () {
        const index = yield* RecordIndex.makeMemory
        const place = { log: "a@0000000000000001", seq: 1, clock: HybridLogicalClock.zero }
        yield* index.merge(
          ["a", "c", "e"].map((key, i) => pointer({ ...place, seq: i + 1 }, "n", key)),
          noProgress
        )
        const keys = (after: string) =>
          Effect.map(
            index.scan({ ...RecordKey.beyond({}, { namespace: "n", key: after }, false), limit: 10 }),
            (page) => page.map(({ key }) => key)
          )
        assert.deepStrictEqual(yield* keys("a"), ["c", "e"])
        assert.deepStrictEqual(yield* keys("b"), ["c", "e"])
        assert.deepStrictEqual(yield* keys("e"), [])
        const all = yield* index.scan({ ...RecordKey.beyond({}, { namespace: "m", key: "z" }, false), limit: 2 })
        assert.deepStrictEqual(
          all.map(({ key }) => key),
          ["a", "c"]
        )
      })
    )
  })
})

describe("the checksum of a pointer", () => {
  const base = pointer({
    log: "a@0000000000000001",
    seq: 2 ** 40 + 5,
    clock: { wallTime: 1_700_000_000_000, logical: 7 },
    tie: "0123456789abcdef"
  })

  it("is another where one bit of a text or a number is, and where a text ends elsewhere", () => {
    const others: Array<RecordIndex.Pointer> = [
      { ...base, deleted: !base.deleted },
      { ...base, namespace: `${base.namespace}${base.key[0]}`, key: base.key.slice(1) }
    ]
    for (const field of ["namespace", "key", "log", "tie"] as const) {
      const text: string = base[field]
      for (let i = 0; i < text.length; i++) {
        for (let bit = 0; bit < 16; bit++) {
          const code = String.fromCharCode(text.charCodeAt(i) ^ (1 << bit))
          others.push({ ...base, [field]: text.slice(0, i) + code + text.slice(i + 1) })
        }
      }
    }
    for (let bit = 0; bit < 48; bit++) {
      const flipped = (number: number) => Number(BigInt(number) ^ (1n << BigInt(bit)))
      others.push({ ...base, seq: flipped(base.seq) })
      others.push({ ...base, clock: { ...base.clock, wallTime: flipped(base.clock.wallTime) } })
      if (bit < 32) others.push({ ...base, clock: { ...base.clock, logical: flipped(base.clock.logical) } })
    }
    for (const other of others) assert.notStrictEqual(RecordIndex.checkOf(other), RecordIndex.checkOf(base))
    assert.strictEqual(RecordIndex.checkOf({ ...base }), RecordIndex.checkOf(base))
  })

  it("is spread over all 32 bits by keys that follow each other", () => {
    const seen = new Set<number>()
    const ones = Array.from({ length: 32 }, () => 0)
    for (let i = 0; i < 10_000; i++) {
      const check = RecordIndex.checkOf({ ...base, key: `key ${i}`, seq: i })
      assert.isTrue(Number.isInteger(check) && check >= 0 && check < 2 ** 32)
      seen.add(check)
      for (let bit = 0; bit < 32; bit++) ones[bit]! += (check >>> bit) & 1
    }
    assert.isAbove(seen.size, 9990)
    for (const count of ones) assert.isTrue(count > 4500 && count < 5500, `${count} of 10,000`)
  })
})
