/**
 * Records, and what is answered about writes.
 */
import type { Verdicts } from "./QuorumError.ts"
import { bytesOf } from "./Value.ts"

/** A hybrid logical clock. */
export interface Clock {
  readonly wallTime: number
  readonly logical: number
}

/** A committed write: `policy.w` replicas hold it durably. */
export interface Receipt {
  readonly writeId: string
  /** Its version, which orders it among the writes of its key on every replica. */
  readonly clock: Clock
  readonly tie: string
  /** The policy that it was committed by. */
  readonly policy: { readonly n: number; readonly w: number; readonly [field: string]: unknown }
  /** The replicas that were counted, and after how long. */
  readonly acked: ReadonlyArray<{
    readonly replica: string
    readonly afterMillis: number
    readonly how: "self" | "push" | "vector"
  }>
  /** What was known of the others then. */
  readonly missing: Verdicts
  readonly durationMillis: number
}

/** What is known of a write on the replica that was asked. */
export interface WriteStatus {
  readonly writeId: string
  readonly committed: boolean
  readonly holders: ReadonlyArray<string>
  readonly w: number
  readonly n: number
  readonly verdicts: Verdicts
}

/** What the replicas of today say of a receipt. */
export interface Verification {
  readonly writeId: string
  /** Of every replica. */
  readonly copies: Readonly<
    Record<string, "held" | "superseded" | "compacted" | "lost" | "damaged" | "missing" | "unknown">
  >
  readonly held: number
  readonly committed: boolean
  /** The ids that the write has today, where its log forked and it was committed again in another. */
  readonly movedTo?: ReadonlyArray<string>
}

/** The name of a record. */
export interface Place {
  readonly namespace: string
  readonly key: string
}

/** A record. */
export class QuorumRecord {
  readonly namespace: string
  readonly key: string
  /** Its value. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The type that it was written with, if it has one. */
  readonly contentType: string | undefined
  /** The write that it is of. */
  readonly writeId: string
  constructor({ bytes, contentType, key, namespace, writeId }: Place & Omit<QuorumRecord, "json" | "text">) {
    this.namespace = namespace
    this.key = key
    this.bytes = bytes
    // What says that it is bytes says nothing; over HTTP there is no other word for no type.
    this.contentType = contentType === "application/octet-stream" ? undefined : contentType
    this.writeId = writeId
  }
  /** The value as UTF-8. */
  text(): string {
    return utf8.decode(this.bytes)
  }
  /** The value as what JSON says. Throws a `SyntaxError` when it is none. */
  json<A = unknown>(): A {
    return JSON.parse(this.text()) as A
  }
}

/** A record of a list, or of a line, as it travels. */
export interface RecordJson extends Place {
  readonly value: string
  readonly contentType?: string
  readonly writeId: string
}

/** A record as it travels in a list, or in a line. */
export const ofJson = ({ contentType, key, namespace, value, writeId }: RecordJson): QuorumRecord =>
  new QuorumRecord({ namespace, key, writeId, contentType, bytes: bytesOf(value) })

/** A write of a record, as `watch` shows it. */
export interface Change extends Place {
  /** What was written; none for a delete. */
  readonly record: QuorumRecord | undefined
  readonly writeId: string
  /** Its version: of two changes of a record the one with the greater clock, then tie, is the newer. */
  readonly clock: Clock
  readonly tie: string
  /** Where to go on after this change and those before it, with `since`. Not all have one. */
  readonly position: string | undefined
}

/** A page of records or of keys. */
export interface Page {
  readonly records?: ReadonlyArray<RecordJson>
  readonly keys?: ReadonlyArray<Place>
  /** Records of the page that the replica cannot read; others may have them. */
  readonly damaged?: ReadonlyArray<Place>
  /** Damaged entries of which the replica does not know the keys. */
  readonly unreadable: ReadonlyArray<unknown>
  readonly next?: string
}

// ---------------------------------------------------------------------------------------------------------------------

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
