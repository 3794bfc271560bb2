/**
 * Base64, made and taken apart by the platform where it can: a mebibyte holds the event loop for a millisecond then, and for
 * ten to fifty otherwise. What is short is not worth the call. Pure.
 */
import { Result } from "effect"
import { Base64 } from "effect/encoding"

/** Bytes in base64. */
export const encode = (bytes: Uint8Array): string =>
  platform === undefined || bytes.length < short
    ? Base64.encode(bytes)
    : platform.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")

/** The bytes that a text says in base64; `undefined` when it says none. */
export const decode = (text: string): Uint8Array | undefined => {
  if (platform === undefined || text.length < short) return Result.getOrUndefined(Base64.decode(text))
  const spelled = text.includes("\n") || text.includes("\r") ? text.replaceAll(/[\r\n]/g, "") : text
  const { buffer, byteLength, byteOffset } = platform.from(spelled, "base64")
  // It passes over what is wrong, and takes what stands for `+` and `/` in addresses.
  const padding = spelled.endsWith("==") ? 2 : spelled.endsWith("=") ? 1 : 0
  const isWhole = spelled.length % 4 === 0 && byteLength === (spelled.length / 4) * 3 - padding
  if (!isWhole || spelled.includes("-") || spelled.includes("_")) return undefined
  return new Uint8Array(buffer, byteOffset, byteLength)
}

// ---------------------------------------------------------------------------------------------------------------------

const platform = (globalThis as { readonly Buffer?: typeof Buffer }).Buffer

/** Bytes, or characters, from which on the platform is faster. */
const short = 48
