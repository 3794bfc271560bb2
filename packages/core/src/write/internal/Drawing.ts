/**
 * The keys that a stamp is drawn for, which are admitted as writes of them are.
 */
import * as Entry from "../../log/Entry.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import type { RecordKey } from "../../record/RecordKey.ts"
import type { CommitError } from "../WriteOptions.ts"

/** Writes of keys, of which nothing but the keys matters; whatever else is passed is left for admission to reject. */
export const removalsOf = (keys: unknown): unknown => {
  try {
    return Array.isArray(keys) ? keys.map(removalOf) : removalOf(keys)
  } catch {
    return keys
  }
}

const removalOf = (key: unknown): unknown => {
  if (typeof key !== "object" || key === null) return key
  const { key: name, namespace } = key as Record<keyof RecordKey, unknown>
  return { ...Entry.remove("", ""), namespace, key: name }
}

/** Keys are rejected by their own name, and not by that of writes of them. */
export const namingKeys = (error: CommitError): CommitError => {
  if (error._tag !== "WriteRejected") return error
  const { detail, field, reason } = error
  return new QuorumError.WriteRejected({ field: field.replace(/^write(s|$)/, "keys"), detail, reason })
}
