import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Effect, Result, Schema } from "effect"
import * as QuorumError from "../src/quorum/QuorumError.ts"
import * as QuorumPolicy from "../src/quorum/QuorumPolicy.ts"
import * as WriteId from "../src/identity/WriteId.ts"
import * as ReplicaId from "../src/identity/ReplicaId.ts"

const decode = Schema.decodeUnknownResult(QuorumPolicy.QuorumPolicy)
const encode = Schema.encodeSync(QuorumPolicy.QuorumPolicy)

const detailOf = (result: Result.Result<unknown, QuorumError.InvalidPolicy>): string => {
  assert(Result.isFailure(result), "expected InvalidPolicy")
  assert.instanceOf(result.failure, QuorumError.InvalidPolicy)
  return result.failure.detail
}

const issueOf = (input: unknown): string => {
  const result = decode(input)
  assert(Result.isFailure(result), `expected ${JSON.stringify(input)} to be refused`)
  return String(result.failure)
}

const json = { n: 3, w: 2, ackTimeoutMillis: 2000, order: "real-time", unavailable: "refuse" }

describe("QuorumPolicy", () => {
  it("policy rejects zero n", () => {
    assert.include(detailOf(QuorumPolicy.make({ n: 0, w: 1, ackTimeout: 500 })), "n must be >= 1")
  })

  it("policy clamps w to n", () => {
    const policy = Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 9, ackTimeout: 500 }))
    assert.deepStrictEqual([policy.n, policy.w], [3, 3])
  })

  it("majority default matches adr", () => {
    assert.deepStrictEqual(
      [1, 3, 5, 7].map((n) => Result.getOrThrow(QuorumPolicy.majority(n)).w),
      [1, 2, 3, 4]
    )
  })

  it("quorum policy serde roundtrip", () => {
    const policy = Result.getOrThrow(QuorumPolicy.make({ n: 5, w: 3, ackTimeout: "1500 micros" }))
    const text = JSON.stringify(encode(policy))
    assert.strictEqual(text, `{"n":5,"w":3,"ackTimeoutMillis":1.5,"order":"real-time","unavailable":"refuse"}`)
    assert.deepStrictEqual(Result.getOrThrow(decode(JSON.parse(text))), policy)
  })

  it("the timeout defaults to 2 seconds", () => {
    const policy = Result.getOrThrow(QuorumPolicy.majority(3))
    assert.strictEqual(Duration.toMillis(policy.ackTimeout), 2000)
  })

  it("all asks every replica and one asks the local one", () => {
    for (let n = 1; n <= 7; n++) {
      assert.strictEqual(Result.getOrThrow(QuorumPolicy.all(n)).w, n)
      assert.strictEqual(Result.getOrThrow(QuorumPolicy.one(n)).w, 1)
    }
    for (const of of [QuorumPolicy.majority, QuorumPolicy.all, QuorumPolicy.one]) {
      for (const n of [0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) assert.match(detailOf(of(n)), /^n must be/)
    }
  })

  it("refuses a write that too few are there for, unless it is told to accept it, and the strictest of several does", () => {
    const of = (unavailable?: "refuse" | "accept") => Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 2, unavailable }))
    assert.deepStrictEqual(
      [of(), of("refuse"), of("accept")].map(({ unavailable }) => unavailable),
      ["refuse", "refuse", "accept"]
    )
    const both = [of("accept"), of("refuse")] as const
    for (const [a, b] of [both, [...both].reverse()] as const) {
      assert.strictEqual(QuorumPolicy.strictest(a!, b!).unavailable, "refuse")
    }
    assert.strictEqual(QuorumPolicy.strictest(of("accept"), of("accept")).unavailable, "accept")
    assert.match(detailOf(QuorumPolicy.make({ n: 3, w: 2, unavailable: "perhaps" as never })), /^unavailable must be/)
  })

  it("an invalid policy names the field", () => {
    for (const n of [-3, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      assert.match(detailOf(QuorumPolicy.make({ n, w: 1 })), /^n must be/)
    }
    for (const w of [1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      assert.match(detailOf(QuorumPolicy.make({ n: 3, w })), /^w must be/)
    }
    for (const span of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "Infinity", "soon" as "1 second"] as const) {
      assert.match(detailOf(QuorumPolicy.make({ n: 3, w: 2, ackTimeout: span })), /^ackTimeout must be/)
    }
  })

  it("L1 any two majorities of the same set overlap, even ones too", () => {
    assert.deepStrictEqual(
      [2, 4, 6].map((n) => Result.getOrThrow(QuorumPolicy.majority(n)).w),
      [2, 3, 4]
    )
    for (let n = 1; n <= 50; n++) {
      const { w } = Result.getOrThrow(QuorumPolicy.majority(n))
      assert.isAbove(2 * w, n, `two quorums of ${w} of ${n} could be disjoint`)
      assert.isAtMost(2 * (w - 1), n, `${w} of ${n} is more than a majority`)
    }
  })

  it("L1 half of an even number is no majority: what half have to hold is ordered by clocks", () => {
    for (const n of [1, 2, 3, 4, 6, 7]) {
      for (let w = 1; w <= n; w++) {
        const policy = Result.getOrThrow(QuorumPolicy.make({ n, w }))
        assert.strictEqual(QuorumPolicy.isRealTime(policy), 2 * w > n, `${w} of ${n}`)
        assert.strictEqual(QuorumPolicy.effective(policy).order, 2 * w > n ? "real-time" : "clock")
      }
    }
  })

  it("L4 decoding a policy passes the checks of the constructor, names the field and clamps nothing", () => {
    const wrong: ReadonlyArray<readonly [field: string, value: unknown]> = [
      ["n", 0],
      ["n", -1],
      ["n", 2.5],
      ["n", "3"],
      ["n", null],
      ["n", undefined],
      ["w", 0],
      ["w", 4],
      ["w", 9],
      ["w", -1],
      ["w", 1.5],
      ["w", undefined],
      ["ackTimeoutMillis", 0],
      ["ackTimeoutMillis", -5],
      ["ackTimeoutMillis", Number.NaN],
      ["ackTimeoutMillis", Number.POSITIVE_INFINITY],
      ["ackTimeoutMillis", "2 seconds"],
      ["ackTimeoutMillis", undefined],
      ["unavailable", "perhaps"],
      ["unavailable", undefined]
    ]
    for (const [field, value] of wrong) {
      const { [field as "n"]: _, ...rest } = json
      assert.include(issueOf(value === undefined ? rest : { ...json, [field]: value }), `["${field}"]`)
    }
    for (const notAPolicy of [null, 3, "majority", [], {}]) issueOf(notAPolicy)
    assert.deepStrictEqual(Result.getOrThrow(decode(json)), Result.getOrThrow(QuorumPolicy.majority(3)))
  })

  it("L4 a policy written by hand cannot be encoded past the checks", () => {
    const policy = Result.getOrThrow(QuorumPolicy.majority(3))
    const wrong = [{ n: 0 }, { w: 4 }, { w: 0 }, { ackTimeout: Duration.infinity }]
    for (const part of wrong) assert.throws(() => encode({ ...policy, ...part }))
  })

  it("L6 a clamped policy remembers what was asked", () => {
    for (const [asked, got] of [
      [9, 3],
      [0, 1],
      [-2, 1]
    ] as const) {
      const policy = Result.getOrThrow(QuorumPolicy.make({ n: 3, w: asked }))
      assert.deepStrictEqual([policy.w, policy.requestedW, QuorumPolicy.isClamped(policy)], [got, asked, true])
    }
    for (const w of [1, 2, 3]) {
      assert.isFalse(QuorumPolicy.isClamped(Result.getOrThrow(QuorumPolicy.make({ n: 3, w }))))
    }
    assert.isFalse(QuorumPolicy.isClamped(Result.getOrThrow(decode(json))))
  })

  it.effect.prop(
    "every policy that the schema knows survives JSON",
    [
      Arbitrary.schema(
        Schema.Struct({
          n: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
          w: Schema.Int.check(Schema.isBetween({ minimum: -3, maximum: 12 })),
          ackTimeout: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1e9 }))
        })
      )
    ],
    ([options]) =>
      Effect.gen(function* () {
        const policy = yield* Effect.fromResult(QuorumPolicy.make(options))
        const back = yield* Schema.decodeUnknownEffect(QuorumPolicy.QuorumPolicy)(
          JSON.parse(JSON.stringify(encode(policy)))
        )
        assert.deepStrictEqual(back, { ...policy, requestedW: policy.w })
      })
  )

  it("L1 a w of one write may be a number, a majority, all, or all but so many", () => {
    for (const [n, asked, w] of [
      [1, "majority", 1],
      [2, "majority", 2],
      [3, "majority", 2],
      [4, "majority", 3],
      [5, "majority", 3],
      [3, "all", 3],
      [3, 1, 1],
      [3, 3, 3],
      [3, { allBut: 0 }, 3],
      [3, { allBut: 2 }, 1]
    ] as const) {
      const usual = Result.getOrThrow(QuorumPolicy.make({ n, w: 9, ackTimeout: 700 }))
      assert.deepStrictEqual(Result.getOrThrow(QuorumPolicy.withW(usual, asked)), { ...usual, w, requestedW: w })
    }
  })

  it("L6 a w of one write that is out of range is refused and not clamped, and the detail says what it was", () => {
    const usual = Result.getOrThrow(QuorumPolicy.majority(3))
    for (const [asked, said] of [
      [0, "is 0"],
      [4, "is 4"],
      [1.5, "is 1.5"],
      [{ allBut: -1 }, "{ allBut: -1 }"],
      [{ allBut: 3 }, "{ allBut: 3 }"]
    ] as const) {
      assert.include(detailOf(QuorumPolicy.withW(usual, asked)), said)
    }
  })
})

describe("ReplicaId", () => {
  it("takes 1 to 64 of its alphabet and throws on anything else", () => {
    for (const id of ["a", "0", "Node-1", "a.b_c-d", "x".repeat(64)]) assert.strictEqual(ReplicaId.make(id), id)
    for (const id of ["", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", "a:1", "__proto__", "x".repeat(65)]) {
      assert.throws(() => ReplicaId.make(id), /replica id/)
    }
  })
})

describe("QuorumError", () => {
  const verdicts: QuorumError.Verdicts = {
    [ReplicaId.make("a")]: { _tag: "acked" },
    [ReplicaId.make("b")]: { _tag: "lagging", by: 3 },
    [ReplicaId.make("c")]: { _tag: "refused", detail: "ECONNREFUSED" },
    [ReplicaId.make("d")]: { _tag: "timed_out" }
  }
  const writeId = WriteId.WriteId.make("a@00000000000000aa:7.5ad3c01e")
  const notMet = new QuorumError.QuorumNotMet({ got: 1, needed: 3, reason: "timeout", verdicts, writeId })

  it("quorum error is displayable and is an error", () => {
    assert.instanceOf(notMet, Error)
    assert.strictEqual(notMet.message, "quorum not met (got 1, need 3, reason timeout)")
    assert.include(String(notMet), "quorum not met")
  })

  it("invalid policy display contains detail", () => {
    const error = new QuorumError.InvalidPolicy({ detail: "n must be >= 1" })
    assert.strictEqual(error.message, "invalid quorum policy: n must be >= 1")
  })

  it("local write failed display contains detail", () => {
    const cause = new Error("ENOSPC")
    const error = new QuorumError.LocalWriteFailed({ detail: "disk full", cause })
    assert.strictEqual(error.message, "local write failed: disk full")
    assert.strictEqual(error.cause, cause)
  })

  it("quorum failure reason serde snake case", () => {
    assert.deepStrictEqual(QuorumError.Reason.literals, ["unreachable", "timeout", "id_drift", "in_flight"])
    assert.strictEqual(JSON.stringify(Schema.encodeSync(QuorumError.Reason)("in_flight")), `"in_flight"`)
    assert.strictEqual(Schema.decodeUnknownSync(QuorumError.Reason)(JSON.parse(`"unreachable"`)), "unreachable")
    assert.throws(() => Schema.decodeUnknownSync(QuorumError.Reason)("InFlight"))
  })

  it("errors that promise that nothing was written say so, and QuorumNotMet never does", () => {
    const unavailable = new QuorumError.QuorumUnavailable({ alive: 1, needed: 2, reason: "unreachable", verdicts })
    assert.match(unavailable.message, /alive 1, need 2.*nothing was written.*safe to retry/)
    const rejected = new QuorumError.WriteRejected({
      field: "value",
      detail: "2 MB, at most 1 MB",
      reason: "too_large"
    })
    assert.match(rejected.message, /too_large.*field value.*2 MB, at most 1 MB.*nothing was written/)
    assert.notMatch(notMet.message, /written/)
  })

  it("every error and every verdict survives JSON", () => {
    const roundTrip = <S extends Schema.Codec<unknown, unknown>>(schema: S, value: S["Type"]) => {
      const text = JSON.stringify(Schema.encodeSync(schema)(value))
      const back = Schema.decodeUnknownSync(schema)(JSON.parse(text))
      assert.strictEqual(JSON.stringify(Schema.encodeSync(schema)(back)), text)
      return back
    }
    const back = roundTrip(
      QuorumError.QuorumNotMet,
      new QuorumError.QuorumNotMet({ ...notMet, reason: "id_drift" })
    ) as QuorumError.QuorumNotMet
    assert.instanceOf(back, QuorumError.QuorumNotMet)
    assert.deepStrictEqual([back.got, back.needed, back.reason, back.writeId], [1, 3, "id_drift", writeId])
    assert.deepStrictEqual(back.verdicts, verdicts)
    assert.strictEqual(Schema.encodeSync(QuorumError.QuorumNotMet)(notMet).writeId, writeId)
    roundTrip(QuorumError.InvalidPolicy, new QuorumError.InvalidPolicy({ detail: "n" }))
    roundTrip(QuorumError.LocalWriteFailed, new QuorumError.LocalWriteFailed({ detail: "x", cause: new Error("y") }))
    roundTrip(
      QuorumError.QuorumUnavailable,
      new QuorumError.QuorumUnavailable({ alive: 1, needed: 2, reason: "unreachable", verdicts })
    )
    roundTrip(
      QuorumError.WriteRejected,
      new QuorumError.WriteRejected({ field: "key", detail: "empty", reason: "invalid" })
    )
    const all: ReadonlyArray<QuorumError.Verdict> = [
      { _tag: "acked" },
      { _tag: "late" },
      { _tag: "lagging", by: 2 },
      { _tag: "refused" },
      { _tag: "timed_out" },
      { _tag: "rejected", detail: "bad chain" },
      { _tag: "drifted" },
      { _tag: "not_tried" }
    ]
    for (const verdict of all) assert.deepStrictEqual(roundTrip(QuorumError.Verdict, verdict), verdict)
  })

  it("L10 an invalid policy and a failed local write are not a quorum that was not met", () => {
    const invalid = Result.getOrThrow(Result.flip(QuorumPolicy.make({ n: 0, w: 0 })))
    const local = new QuorumError.LocalWriteFailed({ detail: "disk full" })
    for (const error of [invalid, local]) {
      assert.notInstanceOf(error, QuorumError.QuorumNotMet)
      assert.notProperty(error, "got")
    }
    assert.deepStrictEqual(
      [invalid._tag, local._tag, notMet._tag],
      ["InvalidPolicy", "LocalWriteFailed", "QuorumNotMet"]
    )
  })
})
