/**
 * Records in pages, as they travel.
 */
import { HybridLogicalClock, LogId, type Records, WriteId } from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Option, Schema, SchemaTransformation } from "effect"
import { bytesField, keyFields } from "./lines.ts"

/** A byte order mark is a character of a name like any other. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The two names in a cursor; `undefined` for bytes that are none. */
const namesOf = (bytes: Uint8Array): readonly [string, string] | undefined => {
  try {
    const [namespace, key, ...rest] = utf8.decode(bytes).split("\0")
    return namespace && key && rest.length === 0 ? [namespace, key] : undefined
  } catch {
    return undefined
  }
}

/** Where a page of records goes on: opaque text, made of the namespace and key of the last record seen. */
export const Cursor = Schema.Uint8ArrayFromBase64Url.check(
  Schema.makeFilter((bytes) => namesOf(bytes) !== undefined, { expected: "the `next` of an earlier page" })
).pipe(
  Schema.decodeTo(
    Schema.Struct({ namespace: Schema.String, key: Schema.String }),
    SchemaTransformation.transform({
      decode: (bytes) => {
        const [namespace, key] = namesOf(bytes)!
        return { namespace, key }
      },
      encode: ({ key, namespace }) => new TextEncoder().encode(`${namespace}\0${key}`)
    })
  )
)

/** A record as JSON; the value is base64. */
export const RecordJson = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  value: Schema.Uint8Array,
  contentType: Schema.optionalKey(Schema.String),
  writeId: WriteId.WriteId,
  clock: HybridLogicalClock.HybridLogicalClock
})

/** A record that exists and is damaged on the replica that answers; others may have it. */
export const DamagedRecordJson = Schema.Struct({
  namespace: Schema.String,
  key: Schema.String,
  log: LogId.LogId,
  seq: LogId.Sequence
})

/** A page of records in the order of namespace and key. It may be shorter than asked for; without `next` it is the last. */
export const RecordPage = Schema.Struct({
  records: Schema.Array(RecordJson),
  /** What belongs on this page and cannot be read on this replica. */
  damaged: Schema.Array(DamagedRecordJson),
  /** Damaged entries of which this replica does not know the keys: they may be of any record, on this page or not. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange),
  next: Schema.optionalKey(Cursor)
})

/** A record as the JSON that {@link RecordJson} says, for `inTurns`. */
export function* textsOfRecord(record: Records.Record): Generator<string, void> {
  const { clock, contentType, key, namespace, value, writeId } = record
  const type = contentType === undefined ? {} : { contentType }
  yield `{${keyFields(namespace, key)},${bytesField(value)},`
  yield JSON.stringify({ ...type, writeId, clock }).slice(1)
}

/**
 * A page as the JSON that {@link RecordPage} says, record by record, for `inTurns`: its values may come to mebibytes.
 */
export function* textsOf({ next, records, ...page }: Records.Page): Generator<string, void> {
  yield '{"records":['
  for (const [i, record] of records.entries()) {
    if (i > 0) yield ","
    yield* textsOfRecord(record)
  }
  const rest = encode({
    ...page,
    records: [],
    ...Option.match(next, { onNone: () => ({}), onSome: (next) => ({ next }) })
  })
  yield JSON.stringify(rest).slice('{"records":['.length)
}

/** Names of namespaces that have records. */
export const NamespacePage = Schema.Struct({
  namespaces: Schema.Array(Schema.String),
  /** As of a page of records. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange),
  next: Schema.optionalKey(Schema.String)
})

/** How many records a namespace, or a part of it, has. */
export const NamespaceCount = Schema.Struct({
  namespace: Schema.String,
  records: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  /** As of a page of records. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange)
})

/** The keys of a page of records. */
export const KeyPage = Schema.Struct({
  keys: Schema.Array(Schema.Struct({ namespace: Schema.String, key: Schema.String })),
  /** As of a page of records. */
  unreadable: Schema.Array(ReplicaStore.DamagedRange),
  next: Schema.optionalKey(Cursor)
})

// ---------------------------------------------------------------------------------------------------------------------

const encode = Schema.encodeSync(Schema.toCodecJson(RecordPage))
