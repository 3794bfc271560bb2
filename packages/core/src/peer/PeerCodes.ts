/**
 * The codes by which members that share a secret know each other's bytes: a port, which a platform's own cryptography
 * fills. `NodeCodes` of `@quorum/node` is Node's.
 *
 * It answers at once, since frames keep their order, and what a key takes to be prepared is done once for each key.
 */
import { Context } from "effect"

/** A proof of bytes: HMAC-SHA-256 (RFC 2104), 32 bytes. */
export type Prover = (data: Uint8Array) => Uint8Array

/**
 * The code of bytes: the tag of AES-256-GCM (NIST SP 800-38D) with all of them as associated data and no text, 16 bytes.
 * No two of one key may be made with the same number, a whole one from 0 to 2⁴⁸ - 1: whoever sees two codes of one
 * number can make further ones. The number is the last 6 bytes of the nonce, and those before are 0.
 */
export type Coder = (number: number, data: Uint8Array) => Uint8Array

/** What makes proofs and codes. Keys of codes have 32 bytes, those of proofs any number of them. */
export class PeerCodes extends Context.Service<
  PeerCodes,
  {
    readonly prover: (key: Uint8Array) => Prover
    readonly coder: (key: Uint8Array) => Coder
  }
>()("@quorum/core/PeerCodes") {}
