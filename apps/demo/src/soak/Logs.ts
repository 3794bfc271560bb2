/**
 * What lies on the disks of replicas that do not run any more: every entry of every log.
 */
import { Entry, type LogId, ReplicaSet, WriteId } from "@quorum/core"
import { Chain, EntryBatch, ReplicaStore, Version, Watermark } from "@quorum/core/adapter"
import { Effect, Layer, Option } from "effect"
import type { Member } from "../DemoSet.ts"
import type { Store } from "../ReplicaConfig.ts"
import * as Stores from "../Stores.ts"
import * as History from "./History.ts"

/** What an entry does to one key. */
export interface Record {
  readonly kind: "put" | "delete"
  readonly key: string
  /** The operation that wrote the value; `undefined` for a delete, and for bytes that nobody wrote. */
  readonly operation: number | undefined
}

/** An entry as the disks hold it. */
export interface Held {
  readonly id: WriteId.WriteId
  readonly version: Version.Version
  readonly records: ReadonlyArray<Record>
  /** The ids of the replicas that hold it. */
  readonly holders: Array<string>
}

/** What the disks hold. */
export interface Logs {
  /** The entries by their ids. */
  readonly writes: Map<WriteId.WriteId, Held>
  /**
   * By log and place, the replicas that have erased the entry there, because every member held something newer of its keys.
   */
  readonly erased: Map<LogId.LogId, Map<number, Array<string>>>
  /** By log and place, the chain there, which covers all entries up to it. */
  readonly chains: Map<LogId.LogId, Map<number, string>>
  /** Places at which a copy of a log is not a prefix of the others, or has a gap. */
  readonly breaks: Array<string>
}

/** Nothing yet. */
export const none = (): Logs => ({ writes: new Map(), erased: new Map(), chains: new Map(), breaks: [] })

/** Whether two entries do the same. */
export const isCopy = (a: Held, b: Held): boolean =>
  a.records.length === b.records.length &&
  a.records.every(({ key, kind, operation }, i) => {
    const other = b.records[i]!
    return other.kind === kind && other.key === key && other.operation === operation
  })

/** The replicas that held an entry and have erased it. */
export const erasedOn = ({ erased }: Logs, writeId: WriteId.WriteId): ReadonlyArray<string> => {
  const { log, seq } = WriteId.place(writeId)
  return erased.get(log)?.get(seq) ?? []
}

/** How many writes a replica has erased. */
export const erasedBy = ({ erased }: Logs, holder: string): number => {
  let count = 0
  for (const places of erased.values()) {
    for (const holders of places.values()) if (holders.includes(holder)) count++
  }
  return count
}

/** Notes what a replica has erased of a log. */
export const noteErased = (
  { erased }: Logs,
  {
    from,
    holder,
    log,
    to
  }: { readonly holder: string; readonly log: LogId.LogId; readonly from: number; readonly to: number }
): void => {
  const places = erased.get(log) ?? new Map<number, Array<string>>()
  erased.set(log, places)
  for (let seq = from; seq <= to; seq++) {
    const holders = places.get(seq)
    if (holders === undefined) places.set(seq, [holder])
    else holders.push(holder)
  }
}

/** Notes the chain of a copy of a log at a place, and whether another copy has another one there. */
export const noteChain = (
  { breaks, chains }: Logs,
  {
    chain,
    holder,
    log,
    seq
  }: { readonly holder: string; readonly log: LogId.LogId; readonly seq: number; readonly chain: string }
): void => {
  const places = chains.get(log) ?? new Map<number, string>()
  chains.set(log, places)
  const before = places.get(seq)
  if (before === undefined) places.set(seq, chain)
  else if (before !== chain)
    breaks.push(`${log} has the chain ${chain} at ${seq} on ${holder}, and ${before} elsewhere`)
}

/** Notes a copy of a log that does not go on where it ended. */
export const noteGap = (
  { breaks }: Logs,
  {
    after,
    batch,
    holder
  }: { readonly holder: string; readonly batch: EntryBatch.EntryBatch; readonly after: Watermark.Watermark }
): void => {
  const { from, log, prevChain } = batch
  if (from === after.seq + 1 && prevChain === after.chain) return
  breaks.push(
    `${log} goes on at ${from} after ${prevChain} on ${holder}, and ended at ${after.seq} with ${after.chain}`
  )
}

/** Reads the folder of a replica that does not run. What differs under one id is said. */
export const read = (
  {
    cluster,
    members,
    store
  }: { readonly cluster: string; readonly members: ReadonlyArray<Member>; readonly store: Store },
  member: Member,
  logs: Logs
) =>
  Effect.gen(function* () {
    const store = yield* ReplicaStore.ReplicaStore
    const wrong: Array<string> = []
    for (const head of yield* store.watermarks) {
      let after = Watermark.none(head.log)
      while (after.seq < head.seq) {
        const batch = yield* store.read(head.log, after.seq, batchBytes)
        if (Option.isNone(batch)) break
        noteGap(logs, { holder: member.id, batch: batch.value, after })
        note(batch.value, member.id, logs, wrong)
        after = EntryBatch.watermark(batch.value)
      }
      if (after.seq !== head.seq || after.chain !== head.chain)
        logs.breaks.push(`${head.log} is said to be held up to ${head.seq} on ${member.id}, and ends at ${after.seq}`)
    }
    return wrong
  }).pipe(
    Effect.provide(
      Stores.layerOf(store, member.folder).pipe(
        Layer.provide(ReplicaSet.layer({ cluster, self: member.id, members: members.map(({ id }) => id) }))
      )
    )
  )

// ---------------------------------------------------------------------------------------------------------------------

const batchBytes = 4 * 1024 * 1024

const note = (batch: EntryBatch.EntryBatch, holder: string, logs: Logs, wrong: Array<string>): void => {
  const { bytes, log } = batch
  const { writes } = logs
  EntryBatch.forEachElement(batch, ({ chain, from, isErased, offset, to }) => {
    noteChain(logs, { holder, log, seq: to, chain: Chain.format(chain) })
    if (isErased) return noteErased(logs, { holder, log, from, to })
    const id = WriteId.make(log, from, chain.high)
    const { clock, records: written, tie } = Entry.decodeAt(bytes, offset)
    const records = written.map(({ key, kind, namespace, value }) => {
      const operation = kind === "put" ? History.operationOf(value) : undefined
      return { kind, key: `${namespace}/${key}`, operation }
    })
    const held: Held = { id, version: { clock, tie }, records, holders: [holder] }
    const before = writes.get(id)
    if (before === undefined) writes.set(id, held)
    else if (isSame(before, held)) before.holders.push(holder)
    else wrong.push(`OneEntryPerPlace: ${id} is one write on ${before.holders.join(", ")} and another on ${holder}`)
    if (records.some(({ kind, operation }) => kind === "put" && operation === undefined)) {
      wrong.push(`OneEntryPerPlace: ${holder} holds bytes under ${id} that nobody wrote`)
    }
  })
}

const isSame = (a: Held, b: Held): boolean => isCopy(a, b) && Version.compare(a.version, b.version) === 0
