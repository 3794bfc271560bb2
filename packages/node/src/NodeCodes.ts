/**
 * The codes of members that share a secret, made by Node's own cryptography.
 *
 * A key becomes a `KeyObject` once: that takes several times as long as the code of a short message.
 */
import { createCipheriv, createHmac, createSecretKey } from "node:crypto"
import { PeerCodes } from "@quorum/core/adapter"
import { Layer } from "effect"

/** Provides the `PeerCodes` of `@quorum/core/adapter`. */
export const layer: Layer.Layer<PeerCodes.PeerCodes> = Layer.succeed(PeerCodes.PeerCodes, {
  prover: (key) => {
    const object = createSecretKey(key)
    return (data) => new Uint8Array(createHmac("sha256", object).update(data).digest())
  },
  coder: (key) => {
    const object = createSecretKey(key)
    const nonce = new Uint8Array(12)
    const view = new DataView(nonce.buffer)
    return (number, data) => {
      view.setUint16(6, Math.floor(number / 0x1_0000_0000))
      view.setUint32(8, number % 0x1_0000_0000)
      const cipher = createCipheriv("aes-256-gcm", object, nonce)
      cipher.setAAD(data)
      cipher.final()
      return cipher.getAuthTag()
    }
  }
})
