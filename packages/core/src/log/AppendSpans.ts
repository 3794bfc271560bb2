/** The spans of appends, which say how long the disk took. */
import type { Effect, Tracer } from "effect"
import * as Tracing from "../events/Tracing.ts"
import * as LogId from "../identity/LogId.ts"
import type { EntryBatch } from "./EntryBatch.ts"

/** Makes them while anybody traces; `lastSyncMillis` is asked when an append has ended. */
export const make = (tracing: Tracing.Tracing, lastSyncMillis: () => number | undefined) => ({
  /** The spans of an append of own entries. */
  startOwn: (batch: EntryBatch, commits: ReadonlyArray<Tracer.AnySpan>): ReadonlyArray<Tracer.Span> => {
    if (!tracing.active) return []
    return tracing.startBatch("quorum.append", commits, { kind: "internal", attributes: Tracing.attributesOf(batch) })
  },
  /** The spans of an append of a peer's entries. They begin when its turn has come: what is waited before is not ours. */
  startCopy: (batch: EntryBatch, within: ReadonlyArray<Tracer.AnySpan>): ReadonlyArray<Tracer.Span> => {
    if (within.length === 0) return []
    const attributes = { "quorum.peer": LogId.owner(batch.log), ...Tracing.attributesOf(batch) }
    return tracing.start("quorum.append", within, { kind: "server", attributes })
  },
  /** Appends within spans. */
  within: <A, E>(spans: ReadonlyArray<Tracer.Span>, append: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    tracing.within(spans, append, () => {
      const syncMillis = lastSyncMillis()
      if (syncMillis === undefined) return
      for (const span of spans) span.attribute("quorum.append.sync.duration", syncMillis / 1000)
    })
})
