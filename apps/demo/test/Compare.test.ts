import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import type { LogId } from "@quorum/core"
import type { Chain } from "@quorum/core/adapter"
import { WriteId } from "@quorum/core"
import { RecordKey } from "@quorum/core/adapter"
import { Effect, Stream } from "effect"
import * as Compare from "../src/Compare.ts"

const log = (name: string) => `${name}@0000000000000001` as LogId.LogId
const watermark = (name: string, seq: number, chain = "00000000000000aa") => ({
  log: log(name),
  seq,
  chain: chain as Chain.Chain
})

const record = (key: string, value: string, seq: number, namespace = "n", wallTime = seq): Compare.Compared => ({
  namespace,
  key,
  value: new TextEncoder().encode(value),
  writeId: WriteId.make(log("a"), seq, 0),
  clock: { wallTime, logical: 0 }
})

const acknowledged = (records: ReadonlyArray<Compare.Compared>) =>
  new Map(
    records.map(({ clock, key, namespace, value, writeId }) => [
      RecordKey.keyOf(namespace, key),
      { writeId, clock, sha256: createHash("sha256").update(value).digest("base64") }
    ])
  )

const all = [record("a", "1", 1), record("b", "2", 2), record("c", "3", 3)]
const content = (records: ReadonlyArray<Compare.Compared>, expected = all) =>
  Effect.runSync(Compare.content(Stream.fromIterable(records), acknowledged(expected)))

describe("what a replica holds", () => {
  it("is right when every acknowledged write is there, byte for byte", () => {
    const { digest, records, wrong } = content(all)
    assert.deepStrictEqual(wrong, [])
    assert.strictEqual(records, 3)
    assert.match(digest, /^[0-9a-f]{64}$/)
  })

  it("may be more than what was acknowledged: an unknown outcome that was written after all", () => {
    assert.deepStrictEqual(content([...all, record("d", "4", 4)]).wrong, [])
  })

  it("L47 misses an acknowledged write, however many others there are", () => {
    assert.deepStrictEqual(content([all[0]!, all[2]!, record("d", "4", 4)]).wrong, ["n/b: it is not there"])
  })

  it("is wrong when another write is there, even with the same bytes", () => {
    assert.deepStrictEqual(content([all[0]!, record("b", "2", 9), all[2]!]).wrong, [
      "n/b: a@0000000000000001:2.00000000 was acknowledged, a@0000000000000001:9.00000000 is there"
    ])
  })

  it("is right when a copy of the write is there, which has another place and the same version", () => {
    assert.deepStrictEqual(content([all[0]!, record("b", "2", 9, "n", 2), all[2]!]).wrong, [])
    assert.lengthOf(content([all[0]!, record("b", "3", 9, "n", 2), all[2]!]).wrong, 1)
  })

  it("is wrong when the bytes differ", () => {
    assert.deepStrictEqual(content([all[0]!, record("b", "3", 2), all[2]!]).wrong, [
      "n/b: the value of a@0000000000000001:2.00000000 has other bytes"
    ])
  })

  it("is wrong when a record comes twice or out of order, so that no page can hide another", () => {
    assert.deepStrictEqual(content([all[0]!, all[0]!, all[1]!, all[2]!]).wrong, ["n/a: out of order"])
    assert.deepStrictEqual(content([all[1]!, all[0]!, all[2]!]).wrong, ["n/a: out of order"])
  })

  it("has a digest that every field and the border between two fields changes", () => {
    const digests = [
      [record("ab", "c", 1)],
      [record("a", "bc", 1)],
      [record("ab", "d", 1)],
      [record("ab", "c", 2)],
      [record("b", "c", 1, "na")],
      [record("ab", "c", 1, "m")],
      [record("ab", "c", 1), record("b", "", 1)],
      []
    ].map((records) => content(records, []).digest)
    assert.strictEqual(new Set(digests).size, digests.length)
  })
})

describe("the logs of the replicas", () => {
  it("are the same whatever the order of the vector", () => {
    assert.isTrue(
      Compare.sameLogs([
        [watermark("a", 1), watermark("b", 2)],
        [watermark("b", 2), watermark("a", 1)]
      ])
    )
  })

  it("differ by length, by chain, and by a log that is missing", () => {
    const vector = [watermark("a", 1), watermark("b", 2)]
    assert.isFalse(Compare.sameLogs([vector, [watermark("a", 1), watermark("b", 3)]]))
    assert.isFalse(Compare.sameLogs([vector, [watermark("a", 1), watermark("b", 2, "00000000000000bb")]]))
    assert.isFalse(Compare.sameLogs([vector, [watermark("a", 1)]]))
  })

  it("are apart by what is missing", () => {
    const distance = Compare.distance([[watermark("a", 10), watermark("b", 5)], [watermark("a", 4)], []])
    assert.deepStrictEqual(distance, { held: 19, total: 45 })
  })

  it("miss acknowledged writes when they end before them", () => {
    const upTo = new Map([
      [log("a"), 3],
      [log("b"), 1]
    ])
    assert.deepStrictEqual(Compare.missing([watermark("a", 3), watermark("b", 2)], upTo), [])
    assert.deepStrictEqual(Compare.missing([watermark("a", 2)], upTo), [
      "a@0000000000000001 was acknowledged up to 3 and is held up to 2",
      "b@0000000000000001 was acknowledged up to 1 and is held up to 0"
    ])
  })
})
