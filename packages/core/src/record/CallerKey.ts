/**
 * Keys that callers invent for their writes (`Idempotency-Key`). A write under such a key is one entry with a mark beside
 * it: a record of its own, by which the write is found again. The mark is held wherever the write is, because an entry is
 * held whole or not at all, and the index of records is the index of the keys.
 */
import { Result } from "effect"
import * as Chain from "../log/Chain.ts"
import * as Content from "../log/Content.ts"
import * as Entry from "../log/Entry.ts"
import { WriteRejected } from "../quorum/QuorumError.ts"

/** What the namespace of the marks of a namespace ends with. It is one like any other: old marks are listed and deleted. */
export const suffix = ".idempotency"

/** The namespace whose writes the marks of a namespace are of; none when it is no namespace of marks. */
export const markedBy = (namespace: string): string | undefined =>
  // Programs without types ask for what they like, and find nothing.
  typeof namespace === "string" && namespace.endsWith(suffix) ? namespace.slice(0, -suffix.length) : undefined

/** A mark: the key as its own, and a hash of what is written as its value. */
export interface Mark extends Entry.Write {
  readonly kind: "put"
}

/** The mark of a sound write, or of several that are one, under the key of its caller: 1 to 255 visible characters of ASCII. */
export const markOf = (
  writes: Entry.Writes,
  key: unknown,
  namespaceBytes: number
): Result.Result<Mark, WriteRejected> => {
  if (typeof key !== "string" || !/^[\x21-\x7e]{1,255}$/.test(key)) {
    return rejected("it is 1 to 255 visible characters of ASCII, and none of them a space")
  }
  // The first by name: whoever sends them again may have them in another order.
  const of = Entry.listOf(Content.sorted(writes)).find(({ namespace }) => markedBy(namespace) === undefined)?.namespace
  if (of === undefined) return rejected(`a namespace that ends with ${suffix} has no keys of its own`)
  const namespace = of + suffix
  if (new TextEncoder().encode(namespace).length > namespaceBytes) {
    const most = namespaceBytes - suffix.length
    return rejected(`keys are kept beside a namespace whose name has ${most} bytes at most`)
  }
  return Result.succeed({ kind: "put", namespace, key, value: digestOf(writes), contentType: "text/plain" })
}

/** A write and its mark, as one entry. */
export const marked = (writes: Entry.Writes, mark: Mark): Entry.Writes => [
  ...(Entry.listOf(writes) as [Entry.Write, ...Array<Entry.Write>]),
  mark
]

/** Whether a mark that was found is of the same content. */
export const isSame = (mark: Mark, found: Uint8Array): boolean =>
  found.length === mark.value.length && found.every((byte, i) => byte === mark.value[i])

// ---------------------------------------------------------------------------------------------------------------------

const rejected = (detail: string) =>
  Result.fail(new WriteRejected({ field: "idempotencyKey", reason: "invalid", detail }))

/** What is written, without when. */
const unstamped: Entry.Stamp = { clock: { wallTime: 0, logical: 0 }, tie: "0000000000000000" as never, unprobed: false }

const digestOf = (writes: Entry.Writes): Uint8Array => {
  const bytes = Content.encode(writes, unstamped)
  const state = Chain.state(Chain.empty)
  Chain.extend(state, Chain.viewOf(bytes), 0, bytes.length)
  return new TextEncoder().encode(Chain.format(state))
}
