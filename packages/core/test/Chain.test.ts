import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { Chain } from "../src/adapter.ts"

const utf8 = new TextEncoder()
const bytesOf = (text: string) => utf8.encode(text)

/** The chain after the given entries. */
const chainOf = (entries: ReadonlyArray<Uint8Array>, from: Chain.Chain = Chain.empty): Chain.Chain => {
  const state = Chain.state(from)
  for (const bytes of entries) Chain.extend(state, Chain.viewOf(bytes), 0, bytes.length)
  return Chain.format(state)
}

const texts = (...entries: ReadonlyArray<string>) => chainOf(entries.map(bytesOf))

/** Numbers in [0, 2^32) that are the same in every run (xorshift32). */
const makeRandom = (seed: number) => () => {
  seed ^= seed << 13
  seed ^= seed >>> 17
  seed ^= seed << 5
  return seed >>> 0
}

const randomBytes = (random: () => number, length: number): Uint8Array =>
  Uint8Array.from({ length }, () => random() & 0xff)

const bitsOf = (chain: Chain.Chain): bigint => BigInt(`0x${chain}`)

const differingBits = (a: Chain.Chain, b: Chain.Chain): number =>
  (bitsOf(a) ^ bitsOf(b)).toString(2).replaceAll("0", "").length

describe("Chain", () => {
  // Chains are stored in every log and compared between versions of this library: these values never change.
  it("the chains of known entries are what they have always been", () => {
    const values = {
      nothing: texts(),
      a: texts("a"),
      abc: texts("abc"),
      abcd: texts("abcd"),
      abcde: texts("abcde"),
      "a, b": texts("a", "b"),
      "1,000 bytes": chainOf([Uint8Array.from({ length: 1000 }, (_, i) => i & 0xff)]),
      "1,000 entries": chainOf(Array.from({ length: 1000 }, (_, i) => bytesOf(`entry ${i}`))),
      "onto a chain": chainOf([bytesOf("abc")], "fedcba9876543210" as Chain.Chain)
    }
    assert.deepStrictEqual<Record<string, string>>(values, {
      nothing: "0000000000000000",
      a: "c1ff38514c02bb46",
      abc: "67137e8ebee1eb3c",
      abcd: "78d554cec1cf690f",
      abcde: "f687c36e0c6a055d",
      "a, b": "0f754ec7d5fc1a31",
      "1,000 bytes": "2cc9c2abca1847cf",
      "1,000 entries": "c838f2ae4141ced8",
      "onto a chain": "c750ddaf8296c476"
    })
  })

  it("an empty log has the chain of zeros", () => {
    assert.strictEqual(Chain.empty, "0000000000000000")
    assert.strictEqual(Chain.format(Chain.state(Chain.empty)), Chain.empty)
  })

  it("text and state convert without loss", () => {
    const random = makeRandom(1)
    const chains = ["0000000000000001", "8000000000000000", "ffffffffffffffff", "00000000ffffffff", "ffffffff00000000"]
    for (let i = 0; i < 1000; i++) {
      chains.push(Chain.format({ high: random(), low: random() }))
    }
    for (const chain of chains as Array<Chain.Chain>) {
      assert.strictEqual(Chain.format(Chain.state(chain)), chain)
    }
  })

  it("a chain is 16 lower-case hexadecimal digits", () => {
    const decode = Schema.decodeUnknownResult(Chain.Chain)
    assert.isTrue(Result.isSuccess(decode("0123456789abcdef")))
    for (const wrong of ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeg", 0]) {
      assert.isTrue(Result.isFailure(decode(wrong)), String(wrong))
    }
  })

  it("extending entry by entry, or from a chain in the middle, gives the same chain", () => {
    const random = makeRandom(2)
    const entries = Array.from({ length: 50 }, (_, i) => randomBytes(random, 18 + i))
    for (let cut = 0; cut <= entries.length; cut++) {
      assert.strictEqual(chainOf(entries.slice(cut), chainOf(entries.slice(0, cut))), chainOf(entries))
    }
  })

  it("only the bytes between start and end count", () => {
    const bytes = bytesOf("xxabcdeyy")
    const state = Chain.state(Chain.empty)
    Chain.extend(state, Chain.viewOf(bytes), 2, 7)
    assert.strictEqual(Chain.format(state), texts("abcde"))
  })

  it("swapping two entries changes the chain", () => {
    assert.notStrictEqual(texts("a", "b"), texts("b", "a"))
    assert.notStrictEqual(texts("a", "b", "c"), texts("a", "c", "b"))
    assert.notStrictEqual(texts("left", "right"), texts("right", "left"))
  })

  it("splitting the same bytes into other entries changes the chain", () => {
    const chains = [texts("abcdefgh"), texts("abcd", "efgh"), texts("a", "bcdefgh"), texts("abcdefg", "h")]
    chains.push(texts("ab", "cd", "ef", "gh"), texts("abcdefgh", ""))
    assert.strictEqual(new Set(chains).size, chains.length)
  })

  it("cutting bytes off the end changes the chain", () => {
    const bytes = randomBytes(makeRandom(3), 200)
    const chains = Array.from(bytes, (_, length) => chainOf([bytes.subarray(0, length)]))
    assert.strictEqual(new Set(chains).size, bytes.length)
  })

  it("appending zero bytes changes the chain, of zeros too", () => {
    const zeros = Array.from({ length: 100 }, (_, length) => chainOf([new Uint8Array(length)]))
    assert.strictEqual(new Set(zeros).size, zeros.length)
    const padded = Array.from({ length: 100 }, (_, zero) => chainOf([Uint8Array.of(1, 2, 3, ...new Uint8Array(zero))]))
    assert.strictEqual(new Set(padded).size, padded.length)
  })

  it("repeating an entry never comes back to an earlier chain", () => {
    const state = Chain.state(Chain.empty)
    const bytes = new Uint8Array(18)
    const seen = new Set<Chain.Chain>([Chain.empty])
    for (let i = 0; i < 10_000; i++) {
      Chain.extend(state, Chain.viewOf(bytes), 0, bytes.length)
      seen.add(Chain.format(state))
    }
    assert.strictEqual(seen.size, 10_001)
  })

  it("100,000 entries have 100,000 chains, and both halves spread", () => {
    const random = makeRandom(4)
    const chains = new Set<string>()
    const high = new Set<string>()
    const low = new Set<string>()
    const bytes = new Uint8Array(24)
    const view = new DataView(bytes.buffer)
    for (let i = 0; i < 100_000; i++) {
      // Half of them random, half of them a counter: what real entries look like differs in few bytes.
      if (i % 2 === 0) for (let at = 0; at < 20; at++) bytes[at] = random()
      else bytes.fill(0, 0, 20)
      view.setUint32(20, i)
      const chain = chainOf([bytes])
      chains.add(chain)
      high.add(chain.slice(0, 8))
      low.add(chain.slice(8))
    }
    assert.strictEqual(chains.size, 100_000)
    // 32 random bits give 1.2 collisions on average.
    assert.isAbove(high.size, 99_985)
    assert.isAbove(low.size, 99_985)
  })

  it("one flipped bit of an entry or of the chain before it changes about half of the bits", () => {
    const random = makeRandom(5)
    let changed = 0
    let flips = 0
    let least = 64
    const flip = (before: Chain.Chain, after: Chain.Chain) => {
      const bits = differingBits(before, after)
      changed += bits
      flips++
      least = Math.min(least, bits)
    }
    for (let round = 0; round < 20; round++) {
      const entry = randomBytes(random, 19 + round)
      const seed = { high: random(), low: random() }
      const from = Chain.format(seed)
      const chain = chainOf([entry], from)
      for (let bit = 0; bit < entry.length * 8; bit++) {
        const other = entry.slice()
        other[bit >> 3]! ^= 1 << (bit & 7)
        flip(chain, chainOf([other], from))
      }
      for (let bit = 0; bit < 32; bit++) {
        flip(chain, chainOf([entry], Chain.format({ ...seed, high: (seed.high ^ (1 << bit)) >>> 0 })))
        flip(chain, chainOf([entry], Chain.format({ ...seed, low: (seed.low ^ (1 << bit)) >>> 0 })))
      }
    }
    assert.approximately(changed / flips, 32, 1)
    assert.isAtLeast(least, 8)
  })
})
