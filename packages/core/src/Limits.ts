/**
 * What a write may be at most, and the check of a write against it.
 */
import type * as Entry from "./Entry.ts"
import { WriteRejected } from "./QuorumError.ts"

/** What a write may be at most. */
export interface Limits {
  /** Bytes of UTF-8 of a namespace, 255 at most. */
  readonly namespaceBytes: number
  /** Bytes of UTF-8 of a key, 65,535 at most. */
  readonly keyBytes: number
  /** Bytes of a value. */
  readonly valueBytes: number
}

/** 255 bytes for a namespace, 1 KiB for a key, 1 MiB for a value. */
export const defaults: Limits = { namespaceBytes: 255, keyBytes: 1024, valueBytes: 1024 * 1024 }

/** Why a write cannot be taken, naming the field; `undefined` when it can. */
export const check = (write: Entry.Write, limits: Limits): WriteRejected | undefined =>
  checkText("namespace", write.namespace, limits.namespaceBytes) ??
  checkText("key", write.key, limits.keyBytes) ??
  (write.value.length > limits.valueBytes
    ? new WriteRejected({
        field: "value",
        reason: "too_large",
        detail: `${write.value.length} bytes, the limit is ${limits.valueBytes}`
      })
    : undefined)

// ---------------------------------------------------------------------------------------------------------------------

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
