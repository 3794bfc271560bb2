/** Codes as `NodeCodes` of `@quorum/node` makes them, which core cannot use. */
import { createCipheriv, createHmac } from "node:crypto"
import { Layer } from "effect"
import { PeerCodes } from "../../src/adapter.ts"

export const layer = Layer.succeed(PeerCodes.PeerCodes, {
  prover: (key) => (data) => createHmac("sha256", key).update(data).digest(),
  coder: (key) => (number, data) => {
    const nonce = Buffer.alloc(12)
    nonce.writeUIntBE(number, 6, 6)
    const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(data)
    cipher.final()
    return cipher.getAuthTag()
  }
})
