/** How far a reader of changes has come, as text. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Result, Schema } from "effect"
import type { Watermark } from "../src/adapter.ts"
import { Chain } from "../src/adapter.ts"
import { Changes, LogId, ReplicaId } from "../src/index.ts"

const logOf = (replica: string) => LogId.make(ReplicaId.make(replica), "0000000000000001" as LogId.Incarnation)

describe("a position", () => {
  const decode = Schema.decodeUnknownResult(Changes.Position)

  it.effect("comes back from its text, which fits in a URL and in a header", () =>
    Effect.gen(function* () {
      for (let logs = 0; logs < 6; logs++) {
        const vector: Array<Watermark.Watermark> = []
        for (let i = 0; i < logs; i++) {
          const seq = yield* Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)
          const chain = Chain.format({ high: seq >>> 0, low: i })
          vector.push({ log: logOf(`r.${i}-_`), seq, chain })
        }
        const text = Schema.encodeSync(Changes.Position)(vector)
        assert.match(text, /^[A-Za-z0-9_-]*$/)
        assert.deepStrictEqual(Result.getOrThrow(decode(text)), vector)
      }
    })
  )

  it("is no other text", () => {
    const chain = "0123456789abcdef"
    const asText = (text: string) => Buffer.from(text).toString("base64url")
    const one = `${logOf("a")}:1.${chain}`
    assert.isTrue(Result.isSuccess(decode(asText(one))))
    for (const text of [
      "%",
      asText("x"),
      asText(`${one},`),
      asText(`,${one}`),
      asText(`${one},${one}`),
      asText(`a:1.${chain}`),
      asText(`${logOf("a")}:1.${chain}0`),
      asText(`${logOf("a")}:-1.${chain}`),
      asText(`${logOf("a")}:9999999999999999.${chain}`),
      asText(`${one}\n`)
    ]) {
      assert.isTrue(Result.isFailure(decode(text)), text)
    }
  })
})
