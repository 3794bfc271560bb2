/**
 * What is known of the damage in a store: a log is held up to its first damaged entry, and no further.
 */
import { Effect, Option } from "effect"
import type { EventSink } from "../events/EventSink.ts"
import type * as LogId from "../identity/LogId.ts"
import * as ReplicaStore from "./ReplicaStore.ts"
import * as Watermark from "./Watermark.ts"

/** Why an entry, or what follows it, cannot be said to be held. */
export const errorOf = ({ from, log, to }: ReplicaStore.DamagedRange): ReplicaStore.StoreError => {
  const detail = `entries ${from} to ${to} of ${log} are damaged, so what follows does not count as held`
  return new ReplicaStore.StoreError({ reason: "corrupt", detail })
}

/** What the store had found when it was opened is looked up first. */
export const make = (store: ReplicaStore.ReplicaStore["Service"], sink: EventSink) => {
  let known = 0
  /** How far damaged logs are held, by the entry before the first that is damaged. */
  const held = new Map<LogId.LogId, Watermark.Watermark>()
  const find = (log: LogId.LogId, is: (range: ReplicaStore.DamagedRange) => boolean) =>
    known === 0 ? undefined : store.damaged().find((range) => range.log === log && is(range))
  /** How far a log is held before a damaged entry: where that is damaged too, as looking at it shows, before that. */
  const endBefore = (log: LogId.LogId, from: number): Effect.Effect<Watermark.Watermark> =>
    Effect.flatMap(Effect.option(store.chainAt(log, from - 1)), (found) => {
      const chain = Option.getOrUndefined(Option.flatten(found))
      if (chain !== undefined) return Effect.succeed({ log, seq: from - 1, chain })
      const more = store.damaged().find((range) => range.log === log && range.from < from && from - 1 <= range.to)
      return more === undefined ? Effect.succeed(Watermark.none(log)) : endBefore(log, more.from)
    })
  return {
    /** Whether the store has found more of it. */
    isNews: (): boolean => store.damaged().length > known,
    /** Takes in what the store has found. */
    lookUp: Effect.suspend(() => {
      const news = store.damaged().slice(known)
      known = store.damaged().length
      return Effect.forEach(
        news,
        Effect.fnUntraced(function* ({ from, log, to }) {
          if (sink.active()) sink.tell({ _tag: "DamageFound", log, from, to })
          yield* Effect.logError(`entries ${from} to ${to} of ${log} are damaged here and do not count as held`)
          const before = held.get(log)
          if (before !== undefined && before.seq < from) return
          held.set(log, yield* endBefore(log, from))
        }),
        { discard: true }
      )
    }),
    at: (log: LogId.LogId, seq: number) => find(log, ({ from, to }) => from <= seq && seq <= to),
    heldOf: (head: Watermark.Watermark): Watermark.Watermark => held.get(head.log) ?? head,
    /** Why no more of a log can be said to be held. */
    of: (log: LogId.LogId): ReplicaStore.StoreError | undefined => {
      const first = find(log, () => true)
      return first === undefined ? undefined : errorOf(first)
    }
  }
}
