/**
 * The log that this replica writes: which one that is, and what was written to it lately, for those who replicate it.
 */
import { Effect, type Tracer } from "effect"
import * as Tracing from "../events/Tracing.ts"
import * as LogId from "../identity/LogId.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as OwnTail from "./OwnTail.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"
import type * as Watermark from "./Watermark.ts"

/** The own log; another one from when it is renewed. */
export interface OwnLog {
  readonly id: LogId.LogId
  readonly identity: ReplicaStore.StoreIdentity
  /** Opens another log, of a newer incarnation than `above`. */
  readonly renew: (above?: LogId.Incarnation) => Effect.Effect<LogId.Incarnation, ReplicaStore.StoreError>
  /** A batch was written to it, which is not durable yet. */
  readonly written: (batch: EntryBatch.EntryBatch, spans: ReadonlyArray<Tracer.Span>) => void
  /** How far a log goes that is durable up to a watermark: the own one may have been written further. */
  readonly end: (durable: Watermark.Watermark) => Watermark.Watermark
  /** Entries of a log from memory; nothing of another log than this, and of what is not there any more. */
  readonly read: (log: LogId.LogId, after: number, maxBytes: number) => EntryBatch.EntryBatch | undefined
  /** Of a batch something was erased: it is read from the store, if it is of this log. */
  readonly erased: (batch: EntryBatch.EntryBatch) => void
  /** The spans of the appends of what is in a batch, if it is of this log, was appended lately and is traced. */
  readonly tracesOf: (batch: EntryBatch.EntryBatch) => ReadonlyArray<Tracer.Span>
}

/** The log of the incarnation that the store has, with nothing written lately. */
export const make = (store: ReplicaStore.ReplicaStore["Service"]): OwnLog => {
  let { identity } = store
  let id = LogId.make(identity.replica, identity.incarnation)
  let tail = OwnTail.make()
  let traces = Tracing.makeRecent()
  return {
    get id() {
      return id
    },
    get identity() {
      return identity
    },
    renew: (above) =>
      Effect.map(Effect.uninterruptible(store.renew(above)), (incarnation) => {
        identity = { ...identity, incarnation }
        id = LogId.make(identity.replica, incarnation)
        tail = OwnTail.make()
        traces = Tracing.makeRecent()
        return incarnation
      }),
    written: (batch, spans) => {
      tail.push(batch)
      traces.add(batch.from, EntryBatch.last(batch), spans)
    },
    end: (durable) => {
      const written = durable.log === id ? tail.end() : undefined
      return written !== undefined && written.seq > durable.seq ? written : durable
    },
    read: (log, after, maxBytes) => (log === id ? tail.read(after, maxBytes) : undefined),
    erased: (batch) => void (batch.log === id && tail.forget(EntryBatch.last(batch))),
    tracesOf: (batch) => (batch.log === id ? traces.of(batch.from, EntryBatch.last(batch)) : [])
  }
}
