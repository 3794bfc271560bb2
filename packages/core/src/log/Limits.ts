/**
 * What a write may be at most, and the check of a write against it.
 */
import { Context, Schema } from "effect"
import * as Entry from "./Entry.ts"
import { WriteRejected } from "../quorum/QuorumError.ts"

/** What a write may be at most. */
export interface Limits {
  /** Bytes of UTF-8 of a namespace, 255 at most. */
  readonly namespaceBytes: number
  /** Bytes of UTF-8 of a key, 65,535 at most. */
  readonly keyBytes: number
  /** Bytes of a value. */
  readonly valueBytes: number
}

/** {@link Limits} as JSON, for the wire and the status. */
export const LimitsJson = Schema.Struct({
  namespaceBytes: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Entry.maxNamespaceBytes })),
  keyBytes: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Entry.maxKeyBytes })),
  valueBytes: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
})

/** 255 bytes for a namespace, 1 KiB for a key, 1 MiB for a value. */
export const defaults: Limits = { namespaceBytes: 255, keyBytes: 1024, valueBytes: 1024 * 1024 }

/**
 * The limits of a replica set: the one place from which writer, transports and servers have them. They are the same on
 * all members, which the handshake checks: a member that took less would never get large writes (law L25).
 */
export const Limits = Context.Reference<Limits>("@quorum/core/Limits", { defaultValue: () => defaults })

/** Why a write cannot be taken, naming the field; `undefined` when it can. */
export const check = (write: Entry.Write, limits: Limits): WriteRejected | undefined =>
  checkKind(write) ??
  checkText("namespace", write.namespace, Math.min(limits.namespaceBytes, Entry.maxNamespaceBytes)) ??
  checkText("key", write.key, Math.min(limits.keyBytes, Entry.maxKeyBytes)) ??
  (write.value.length > limits.valueBytes
    ? new WriteRejected({
        field: "value",
        reason: "too_large",
        detail: `${write.value.length} bytes, the limit is ${limits.valueBytes}`
      })
    : undefined)

// ---------------------------------------------------------------------------------------------------------------------

/** What an entry cannot hold would be refused by every peer, and with it all that follows. */
const checkKind = (write: Entry.Write): WriteRejected | undefined => {
  if (write.kind !== "put" && write.kind !== "delete") {
    return new WriteRejected({ field: "kind", reason: "invalid", detail: "it is neither put nor delete" })
  }
  return write.kind === "delete" && write.value.length > 0
    ? new WriteRejected({ field: "value", reason: "invalid", detail: "a delete has no value" })
    : undefined
}

const utf8 = new TextEncoder()

const checkText = (field: string, text: string, limit: number): WriteRejected | undefined => {
  if (text.length === 0) return new WriteRejected({ field, reason: "invalid", detail: "it is empty" })
  if (text.length * 3 > limit) {
    const bytes = utf8.encode(text).length
    if (bytes > limit) {
      const detail = `${bytes} bytes of UTF-8, the limit is ${limit}`
      return new WriteRejected({ field, reason: "too_large", detail })
    }
  }
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 0) {
      return new WriteRejected({ field, reason: "invalid", detail: "it contains a NUL character" })
    }
    if (unit >= 0xd800 && unit <= 0xdfff && !text.isWellFormed()) {
      return new WriteRejected({ field, reason: "invalid", detail: "it is not well-formed Unicode" })
    }
  }
  return undefined
}
