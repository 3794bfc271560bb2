/** The lines of a batch and of its answer: the short ways say what the schemas say. */
import { assert, describe, it } from "@effect/vitest"
import { HybridLogicalClock, QuorumError, QuorumPolicy, type Receipt, StampToken, WriteId } from "@quorum/core"
import type { RunId } from "@quorum/core/adapter"
import { Arbitrary, Result, Schema } from "effect"
import { lineOf as answerOf } from "../src/api/answers.ts"
import { BatchAnswer, BatchLine } from "../src/api/BatchApi.ts"
import type { InvalidRequest } from "../src/api/ApiErrors.ts"
import { lineOf } from "../src/api/batchLines.ts"
import { fieldsOf } from "../src/api/lines.ts"

const decode = Schema.decodeUnknownResult(BatchLine, { onExcessProperty: "error" })

const stamp = StampToken.make(
  { clock: { wallTime: 7, logical: 1 }, tie: "00000000000000ff" as RunId.RunId, unprobed: false },
  [{ namespace: "n", key: "k" }]
)

/** What may stand in a field, or not be there. */
const odd = [
  undefined,
  { a: [1, null, { b: "\ud800" }] },
  "",
  "k",
  "\ud800",
  "AAEC",
  "AAE=",
  "AAE",
  "A A=",
  stamp,
  `${stamp}0`,
  7,
  true,
  false,
  null
]

/** Lines in which one or two fields are odd. */
const lines = ["namespace", "key", "value", "text", "json", "contentType", "delete", "stamp", "ttl"].flatMap(
  (name, _, names) =>
    names.flatMap((other) =>
      odd.flatMap((value) =>
        odd.map((otherValue) =>
          Object.fromEntries(
            Object.entries({ namespace: "n", key: "k", [other]: otherValue, [name]: value }).filter(
              ([, value]) => value !== undefined
            )
          )
        )
      )
    )
)

describe("a line of a batch", () => {
  it("is taken or rejected as the schema says, whatever it is", () => {
    for (const json of [...lines, [], null, "text", { ...lines[0], value: "AAEC", stamp, contentType: "a/b" }]) {
      const schema = decode(json)
      const read = lineOf(json)
      if (Result.isFailure(schema)) {
        assert.deepInclude(Result.getOrThrow(Result.flip(read)), { field: "body", detail: schema.failure.message })
        continue
      }
      const { contentType, key, namespace, stamp, text, value } = schema.success
      const { stamp: readStamp, write } = Result.getOrThrow(read)
      assert.deepStrictEqual([write.namespace, write.key, readStamp], [namespace, key, stamp])
      if (value !== undefined) assert.deepStrictEqual(write.value, value)
      if (text !== undefined) assert.deepStrictEqual(write.value, new TextEncoder().encode(text))
      const { json: inner } = schema.success
      if (inner !== undefined) assert.deepStrictEqual(write.value, new TextEncoder().encode(JSON.stringify(inner)))
      assert.strictEqual(write.contentType, contentType ?? (inner === undefined ? undefined : "application/json"))
    }
  })
})

describe("a value of a line as JSON", () => {
  const line = (json: string) => lineOf(JSON.parse(`{"namespace":"n","key":"k","json":${json}}`))
  const said = (text: string) => [...fieldsOf(new TextEncoder().encode(text), "application/json")].join("")

  it("is refused where a number of it was rounded when it was read, and told as text where it would be", () => {
    for (const json of [
      "9007199254740993",
      "-12345678901234567000",
      '{"a":[{"id":18446744073709551615}]}',
      "[1e400]"
    ]) {
      const { detail, field } = Result.getOrThrow(Result.flip(line(json))) as InvalidRequest
      assert.strictEqual(field, "body")
      assert.include(detail, "`text`")
    }
    assert.isTrue(said("-12345678901234567000").startsWith('"text":'))
    for (const json of ["9007199254740991", "-9007199254740991", "0.30000000000000004", "1e+300", "-1e+21"]) {
      assert.strictEqual(new TextDecoder().decode(Result.getOrThrow(line(json)).write.value), json)
      assert.isTrue(said(json).startsWith('"json":'))
    }
  })
})

const Verdicts = Arbitrary.schema(QuorumError.Verdicts)

const Answered = Arbitrary.schema(
  Schema.Struct({
    clock: HybridLogicalClock.HybridLogicalClock,
    seq: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 40 })),
    durationMillis: Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0)),
    order: Schema.Literals(["clock", "real-time"])
  })
)

const withoutDetail = (verdict: QuorumError.Verdict) =>
  Object.fromEntries(Object.entries(verdict).filter(([name]) => name !== "detail"))

const encode = Schema.encodeSync(Schema.toCodecJson(BatchAnswer))

describe("the answer to a line", () => {
  it.prop(
    "says of a receipt what the schema says, without details that are not for clients, also when several come in turn",
    [Verdicts, Answered, Answered],
    ([missing, ...answered]) => {
      const receipts = answered.map(({ clock, durationMillis, order, seq }): Receipt.Receipt => ({
        writeId: WriteId.make("a@9f3c52d0b1e44a07" as never, seq, 5),
        clock,
        tie: "00000000000000ff" as RunId.RunId,
        policy: { ...Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 2 })), order },
        acked: [{ replica: "a" as never, afterMillis: seq / 8, how: "self" }],
        missing,
        durationMillis
      }))
      for (const [i, receipt] of [...receipts, receipts[0]!].entries()) {
        const said = JSON.parse(answerOf(i + 1, Result.succeed(receipt)))
        const hidden = Object.fromEntries(Object.entries(missing).map(([id, verdict]) => [id, withoutDetail(verdict)]))
        const whole = JSON.parse(
          JSON.stringify(encode({ line: i + 1, status: 201, receipt: { ...receipt, missing: hidden as never } }))
        )
        assert.deepStrictEqual(said, whole)
      }
    }
  )
})
