import { assert, describe, it } from "@effect/vitest"
import { PeerCodes } from "@quorum/core/adapter"
import { Effect, Layer } from "effect"
import { Aead, Mac, SecureRandom } from "effect/crypto"
import { NodeCodes } from "../src/index.ts"

const webCrypto = Layer.provide(Layer.merge(Aead.layerWebCrypto, Mac.layerWebCrypto), SecureRandom.layerWebCrypto)

const texts = [0, 1, 60, 20_000].map((length) => Uint8Array.from({ length }, (_, i) => i % 251))
const keyBytes = Uint8Array.from({ length: 32 }, (_, i) => 7 * i)

describe("NodeCodes", () => {
  it.effect("proves with HMAC-SHA-256, as another implementation does", () =>
    Effect.gen(function* () {
      const prover = (yield* PeerCodes.PeerCodes).prover(keyBytes)
      const mac = yield* Mac.Mac
      const key = yield* Mac.key(Mac.hmacSha256, keyBytes)
      for (const text of texts) assert.deepStrictEqual(prover(text), yield* mac.sign(key, text))
    }).pipe(Effect.provide([NodeCodes.layer, webCrypto]))
  )

  it.effect(
    "codes are the tags of AES-256-GCM with the number as the end of the nonce, as another implementation has them",
    () =>
      Effect.gen(function* () {
        const coder = (yield* PeerCodes.PeerCodes).coder(keyBytes)
        const aead = yield* Aead.Aead
        const key = yield* Aead.key(Aead.aes256Gcm, keyBytes)
        for (const number of [0, 1, 256, 2 ** 32 - 1, 2 ** 32, 2 ** 48 - 1]) {
          const nonce = new Uint8Array(12)
          for (let at = 11, left = number; at > 5; at--, left = Math.floor(left / 256)) nonce[at] = left % 256
          for (const text of texts) {
            const tag = yield* aead.encrypt(key, new Uint8Array(0), { nonce, aad: text })
            assert.deepStrictEqual(Uint8Array.from(coder(number, text)), tag)
          }
        }
      }).pipe(Effect.provide([NodeCodes.layer, webCrypto]))
  )
})
