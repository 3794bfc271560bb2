/** Long answers, made in pieces. */
import { assert, describe, it } from "@effect/vitest"
import { LogId, type Records, type ReplicaId, WriteId } from "@quorum/core"
import { Effect, Fiber, Option, Result, Schema, Stream } from "effect"
import { Base64 } from "effect/encoding"
import { RecordPage, textsOf } from "../src/api/RecordPages.ts"
import * as Base64Text from "../src/api/base64.ts"
import { fieldsOf } from "../src/api/lines.ts"
import * as Pieces from "../src/api/pieces.ts"

const mebibyte = 1024 * 1024
const log = LogId.make("a" as ReplicaId.ReplicaId, "00000000000000aa" as LogId.Incarnation)

const record = (key: string, value: Uint8Array, contentType?: string): Records.Record => ({
  namespace: 'n"\u2028',
  key,
  value,
  writeId: WriteId.make(log, 1, 7),
  clock: { wallTime: 1, logical: 2 },
  ...(contentType === undefined ? {} : { contentType })
})

const page = (records: ReadonlyArray<Records.Record>, next: Records.Page["next"] = Option.none()): Records.Page => ({
  records,
  damaged: [{ namespace: "n", key: "d", log, seq: 3 }],
  unreadable: [{ log, from: 4, to: 5 }],
  next
})

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.toCodecJson(RecordPage)))

describe("a page of records as text", () => {
  for (const [what, records] of Object.entries({
    "no record": [],
    some: [
      record("k", new Uint8Array()),
      record("ö", Uint8Array.of(0, 255), "text/plain"),
      record("k2", new Uint8Array(9))
    ],
    "a large one": [
      record(
        "k",
        Uint8Array.from({ length: mebibyte }, (_, i) => i * 7)
      ),
      record("l", new Uint8Array(1))
    ]
  })) {
    it(`says what its schema says, with ${what}`, () => {
      for (const next of [Option.none(), Option.some({ namespace: "n", key: "k" })]) {
        const { next: _, ...rest } = page(records, next)
        const said = decode(Array.from(textsOf(page(records, next))).join(""))
        assert.deepStrictEqual(said, { ...rest, ...(Option.isSome(next) ? { next: next.value } : {}) })
      }
    })
  }
})

describe("L63 text in turns", () => {
  it.effect("is made piece by piece, and others have their turn before each", () =>
    Effect.gen(function* () {
      const value = new Uint8Array(mebibyte).fill(0x20)
      const json = new TextEncoder().encode(JSON.stringify("x".repeat(mebibyte)))
      const texts = [
        textsOf(page([record("a", value), record("b", value), record("c", value)])),
        fieldsOf(json, "application/json"),
        Array.from({ length: 4000 }, () => "x".repeat(100))
      ]
      for (const each of texts) {
        let turns = 0
        const others = yield* Effect.forkChild(
          Effect.forever(
            Effect.andThen(
              Effect.sync(() => turns++),
              Effect.yieldNow
            )
          )
        )
        const pieces = yield* Stream.runCollect(Pieces.inTurns(each))
        yield* Fiber.interrupt(others)
        assert.isAtLeast(turns, 3)
        assert.isFalse(pieces.includes(""))
      }
    })
  )
})

describe("base64", () => {
  const valueOf = (length: number) => Uint8Array.from({ length }, (_, i) => i * 37 + 251)

  it("is the same, whoever makes it and takes it apart", () => {
    for (let length = 0; length < 200; length++) {
      const text = Base64.encode(valueOf(length))
      assert.strictEqual(Base64Text.encode(valueOf(length)), text)
      assert.deepStrictEqual(Base64Text.decode(text), valueOf(length))
    }
  })

  it("is refused, or taken, as ever where it is spelled otherwise", () => {
    const others = ["", "=", "==", "-", "_", " ", "\n", "\r\n", "A", "é"]
    for (const length of [3, 45, 46, 47, 48, 200]) {
      const text = Base64.encode(valueOf(length))
      for (let at = 0; at <= text.length; at++) {
        for (const other of others) {
          for (const removed of [0, 1]) {
            const changed = text.slice(0, at) + other + text.slice(at + removed)
            const expected = Result.getOrUndefined(Base64.decode(changed))
            assert.deepStrictEqual(Base64Text.decode(changed), expected, JSON.stringify(changed))
          }
        }
      }
    }
  })
})
