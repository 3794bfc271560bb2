/**
 * The tables of the record index in its file: which write of a key is the newest, and how far the logs are covered.
 */
import type { LogId } from "@quorum/core"
import { RecordIndex, RecordKey, type ReplicaStore } from "@quorum/core/adapter"
import { Effect, Option, Semaphore } from "effect"
import * as Environment from "./environment.ts"
import * as Pointers from "./pointers.ts"

/** Why an index is made that was never there. */
export const isNew = "is new"

/** The note of the store about its index: which file it is, and how it was left. */
export const note = "index"

/** How it was left: in order. Otherwise the boot stands there under which it was open. */
export const wasClosed = "closed"

/** What an index answers. */
export type Service = Omit<RecordIndex.RecordIndex["Service"], "reset">

/** The tables of an index, as they are found. */
export const make = (file: string) => {
  const environment = Environment.open(file, { sync: false })
  const { put } = environment
  const pointers = environment.table("pointers")
  const lent = environment.borrowed("pointers", Pointers.nameIn)
  const progress = environment.table("progress")
  const name = environment.table("name")
  const named = name.getBinary(idKey)?.toString("latin1")
  const id = named ?? globalThis.crypto.randomUUID()
  const progressNow = (): RecordIndex.Progress => {
    const found = new Map<LogId.LogId, number>()
    for (const { key, value } of progress.getRange({})) {
      const log = key.toString("latin1") as LogId.LogId
      found.set(log, Pointers.decodeProgress(log, value))
    }
    return found
  }
  const call = <A>(f: () => A): Effect.Effect<A, ReplicaStore.StoreError> =>
    Effect.try({ try: f, catch: (cause) => Environment.storeError(file, cause) })
  /** One change at a time: what is committed by one is what the next looks at. */
  const alone = Semaphore.makeUnsafe(1)
  /** Looks at what there is, and commits what is to be made of it, if anything is. */
  const changing = (look: () => (() => void) | undefined): Effect.Effect<void, ReplicaStore.StoreError> =>
    Effect.uninterruptible(
      alone.withPermit(
        Effect.flatMap(call(look), (change) =>
          change === undefined
            ? Effect.void
            : Effect.mapError(environment.commit(change), (cause) => Environment.storeError(file, cause))
        )
      )
    )
  const find = (key: RecordKey.RecordKey): RecordIndex.Pointer | undefined => {
    const name = Pointers.keyOf(key)
    const value = name.length > Environment.maxKeyBytes ? undefined : lent.get(name)
    return value === undefined ? undefined : Pointers.decode(key, value)
  }

  const service: Service = {
    progress: call(progressNow),
    get: (namespace, key) => call(() => Option.fromNullishOr(find({ namespace, key }))),
    getAll: (keys) => call(() => keys.map(find)),
    scan: (scan) =>
      call(() => {
        const from = Pointers.boundOf(scan.from ?? first)
        const to = scan.to === undefined ? undefined : Pointers.boundOf(scan.to)
        const isCut = from.isCut || to?.isCut === true
        // At the place of a bound that was cut may be a key that is not in the range.
        const limit = isCut ? scan.limit + 1 : scan.limit
        const end = { start: to?.at ?? afterAll, end: from.at, inclusiveEnd: true, exclusiveStart: to?.isCut !== true }
        const range = lent.getRange(
          scan.reverse === true
            ? { ...end, reverse: true, limit }
            : { start: from.at, ...(to === undefined ? {} : { end: to.at, inclusiveEnd: to.isCut }), limit }
        )
        const found = Array.from(range, ({ key, value }) => Pointers.decode(key, value))
        return isCut ? found.filter((each) => RecordKey.isWithin(scan, each)).slice(0, scan.limit) : found
      }),
    forget: (gone) =>
      changing(() => {
        const there = gone.filter(isThere)
        if (there.length === 0) return undefined
        return () => {
          for (const pointer of there) environment.remove(pointers, Pointers.keyOf(pointer))
        }
      }),
    merge: (updates, to) =>
      changing(() => {
        const newer = updates.filter(isNewer)
        return () => {
          if (named === undefined) put(name, idKey, Buffer.from(id, "latin1"))
          for (const pointer of newer) put(pointers, Pointers.keyOf(pointer), Pointers.encode(pointer))
          for (const [log, seq] of to) put(progress, Buffer.from(log, "latin1"), Pointers.encodeProgress(log, seq))
        }
      })
  }
  const isThere = (pointer: RecordIndex.Pointer): boolean => {
    const key = Pointers.keyOf(pointer)
    const held = lent.get(key)
    if (held === undefined) return false
    const { log, seq } = Pointers.decode(pointer, held)
    return log === pointer.log && seq === pointer.seq
  }
  const isNewer = (pointer: RecordIndex.Pointer): boolean => {
    const key = Pointers.keyOf(pointer)
    const held = lent.get(key)
    return held === undefined || RecordIndex.compare(pointer, Pointers.decode(pointer, held)) > 0
  }

  return {
    service,
    id,
    close: Effect.promise(() => environment.close()),
    /** Why it has to be built again from the logs, which end at `heads`; undefined when it can be used. */
    whyUnusable: (
      { doubt }: Pick<ReplicaStore.ReplicaStore["Service"], "doubt">,
      noted: string,
      boot: string,
      heads: ReadonlyMap<string, number>
    ) => {
      if (named === undefined) return isNew
      if (doubt === "other_place" || !noted.startsWith(`${named} `)) return `${file} belongs to another store`
      const left = noted.slice(named.length + 1)
      if (left !== wasClosed && left !== boot) return `${file} was open when the machine went down`
      try {
        for (const [log, seq] of progressNow()) {
          const held = heads.get(log) ?? 0
          if (seq > held) return `${file} covers ${log} up to ${seq}, and the log ends at ${held}`
        }
        return undefined
      } catch (cause) {
        return Environment.storeError(file, cause).detail
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Before every key. */
const first = { namespace: "", key: "" }

/** No text begins with this byte. */
const afterAll = Buffer.from([0xff])
const idKey = Buffer.from("id")
