/**
 * What a write may be at most, and the check of a write against it.
 */
import { Context, Result, Schema } from "effect"
import * as Entry from "./Entry.ts"
import * as Thrown from "./Thrown.ts"
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

/**
 * A write as a plain value, or why it cannot be taken, naming the field. Takes anything at all: fields are read once,
 * and what throws while they are read is a reason too.
 */
export const checkWrite = (write: unknown, limits: Limits): Result.Result<Entry.Write, WriteRejected> =>
  resultOf(soundWrite(write, limits))

/**
 * {@link checkWrite} for one write, or for a list of writes that are to be one entry: at least one and no more than
 * `Entry.maxRecords`, of different keys, and together no longer than the longest entry of one write may be, which every
 * peer has room for. The field of a write in a list is named with its place in it, as in `writes[2].key`.
 */
export const checkWrites = (writes: unknown, limits: Limits): Result.Result<Entry.Writes, WriteRejected> =>
  resultOf(soundWrites(writes, limits))

/** {@link checkWrites} for every commit: nothing is made but the write. */
export const soundWrites = (writes: unknown, limits: Limits): Entry.Writes | WriteRejected => {
  if (!isList(writes)) return soundWrite(writes, limits)
  try {
    return soundList(writes, limits)
  } catch (cause) {
    return invalid("writes", `they cannot be read: ${Thrown.textOf(cause)}`)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const noBytes = new Uint8Array(0)

const resultOf = <A extends Entry.Writes>(sound: A | WriteRejected): Result.Result<A, WriteRejected> =>
  sound instanceof WriteRejected ? Result.fail(sound) : Result.succeed(sound)

const soundWrite = (write: unknown, limits: Limits): Entry.Write | WriteRejected => {
  try {
    if (typeof write !== "object" || write === null) return invalid("write", "it is not an object")
    const { contentType, key, kind, namespace, value } = write as Record<keyof Entry.Write, unknown>
    if (kind !== "put" && kind !== "delete") return invalid("kind", "it is neither put nor delete")
    return (
      checkText("namespace", namespace, Math.min(limits.namespaceBytes, Entry.maxNamespaceBytes)) ??
      checkText("key", key, Math.min(limits.keyBytes, Entry.maxKeyBytes)) ??
      checkValue(kind, value, limits.valueBytes) ??
      checkType(kind, contentType) ??
      plainWrite(
        kind,
        namespace as string,
        key as string,
        // Of a delete it is empty, and stays so.
        kind === "delete" ? noBytes : plainBytes(value),
        contentType as string | undefined
      )
    )
  } catch (cause) {
    return invalid("write", `it cannot be read: ${Thrown.textOf(cause)}`)
  }
}

/** A write of just these fields. Most have no content type, and one shape. */
const plainWrite = (
  kind: Entry.Write["kind"],
  namespace: string,
  key: string,
  value: Uint8Array,
  contentType: string | undefined
): Entry.Write =>
  contentType === undefined ? { kind, namespace, key, value } : { kind, namespace, key, value, contentType }

/** A revoked Proxy is no list either. */
const isList = (writes: unknown): writes is ReadonlyArray<unknown> => {
  try {
    return Array.isArray(writes)
  } catch {
    return false
  }
}

const soundList = (writes: ReadonlyArray<unknown>, limits: Limits): Entry.Writes | WriteRejected => {
  const { length } = writes
  if (length > Entry.maxRecords) return tooLarge("writes", `${length} of them, the limit is ${Entry.maxRecords}`)
  const checked: Array<Entry.Write> = []
  const placeOf = new Map<string, number>()
  const longest = Entry.longest(limits)
  let size = Entry.headerBytes
  for (let i = 0; i < length; i++) {
    const write = soundWrite(writes[i], limits)
    if (write instanceof WriteRejected) return inList(i, write)
    const key = `${write.namespace}\0${write.key}`
    const twin = placeOf.get(key)
    if (twin !== undefined) return invalid(`writes[${i}].key`, `it is that of the one at place ${twin} too`)
    placeOf.set(key, i)
    size += Entry.recordSize(write)
    if (size > longest) return tooLarge("writes", `together they take more bytes than an entry may, ${longest}`)
    checked.push(write)
  }
  const [first, ...rest] = checked
  if (first === undefined) return invalid("writes", "there is none")
  return rest.length === 0 ? first : [first, ...rest]
}

const inList = (index: number, { detail, field, reason }: WriteRejected): WriteRejected =>
  new WriteRejected({ field: `writes[${index}]${field === "write" ? "" : `.${field}`}`, reason, detail })

const invalid = (field: string, detail: string) => new WriteRejected({ field, reason: "invalid", detail })

const tooLarge = (field: string, detail: string) => new WriteRejected({ field, reason: "too_large", detail })

/** Which typed array a value is, whatever it claims and whichever realm it comes from; `undefined` when it is none. */
const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as object
const getterOf = (name: string | symbol) => {
  const { get } = Object.getOwnPropertyDescriptor(typedArrayPrototype, name)!
  return (value: unknown): unknown => get!.call(value)
}
const kindOfArray = getterOf(Symbol.toStringTag)
const bufferOf = getterOf("buffer") as (value: unknown) => ArrayBuffer
const offsetOf = getterOf("byteOffset") as (value: unknown) => number
const lengthOf = getterOf("byteLength") as (value: unknown) => number

/** The bytes of a `Uint8Array`, without what a class derived from it, or a property of its own, may have made of them. */
const plainBytes = (value: unknown): Uint8Array =>
  Object.getPrototypeOf(value) === Uint8Array.prototype && !Object.hasOwn(value as Uint8Array, "length")
    ? (value as Uint8Array)
    : new Uint8Array(bufferOf(value), offsetOf(value), lengthOf(value))

/** What an entry cannot hold would be refused by every peer, and with it all that follows. */
const checkValue = (kind: Entry.Write["kind"], value: unknown, limit: number) => {
  if (typeof value === "string" && !value.isWellFormed()) return invalid("value", "it is not well-formed Unicode")
  if (kindOfArray(value) !== "Uint8Array") {
    return invalid(
      "value",
      "it is not a Uint8Array; encode text with a TextEncoder, and numbers in an order of your own"
    )
  }
  if (bufferOf(value).detached) return invalid("value", "its buffer is detached")
  const bytes = lengthOf(value)
  if (kind === "delete" && bytes > 0) return invalid("value", "a delete has no value")
  return bytes > limit ? tooLarge("value", `${bytes} bytes, the limit is ${limit}`) : undefined
}

/** A content type goes into a header of HTTP, so it is what may stand there. */
const checkType = (kind: Entry.Write["kind"], type: unknown) => {
  if (type === undefined) return undefined
  if (typeof type !== "string") return invalid("contentType", "it is not a string")
  if (kind === "delete") return invalid("contentType", "a delete has no value")
  if (type.length === 0) return invalid("contentType", "it is empty")
  if (type.length > Entry.maxContentTypeBytes) {
    return tooLarge("contentType", `${type.length} characters, the limit is ${Entry.maxContentTypeBytes}`)
  }
  return /^[\x20-\x7e]+$/.test(type) ? undefined : invalid("contentType", "it has other characters than visible ASCII")
}

const utf8 = new TextEncoder()

const checkText = (field: string, text: unknown, limit: number) => {
  if (typeof text !== "string") return invalid(field, "it is not a string")
  if (text.length === 0) return invalid(field, "it is empty")
  if (text.length * 3 > limit) {
    const bytes = utf8.encode(text).length
    if (bytes > limit) return tooLarge(field, `${bytes} bytes of UTF-8, the limit is ${limit}`)
  }
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 0) return invalid(field, "it contains a NUL character")
    if (unit >= 0xd800 && unit <= 0xdfff && !text.isWellFormed()) return invalid(field, "it is not well-formed Unicode")
  }
  return undefined
}
