/**
 * The disk of a replica and the store on it. What is under way when a process or a machine crashes is lost, or is not:
 * a seed decides. What the store has said to be durable stays.
 */
import { LogId, type ReplicaId } from "@quorum/core"
import { Chain, EntryBatch, RecordIndex, ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Effect, Option, Result } from "effect"
import type { Dice } from "./Dice.ts"
import type { MachineClock } from "./MachineClock.ts"
import type { Owner, Timeline } from "./Timeline.ts"

/** What a disk holds durably. */
export interface Content {
  incarnation: LogId.Incarnation
  readonly logs: Map<LogId.LogId, Array<EntryBatch.EntryBatch>>
  readonly notes: Map<string, string>
  /** Where it was opened last, and under which boot of the machine. */
  place: number
  boot: number
}

/** What goes wrong with the next append of a disk. */
export type AppendFault = "append_error" | "uncertain_held" | "uncertain_lost"

/** A disk. */
export interface Disk {
  content: Content
  /** The place of its files: copied and restored ones have another. */
  place: number
  /** Milliseconds that each write takes longer than usual. */
  slowMillis: number
  isFull: boolean
  /** An append was uncertain: the store on it refuses everything until it is opened again. */
  isRefusing: boolean
  /** What goes wrong with the next appends, in order. */
  readonly faults: Array<AppendFault>
  /** What is being written: it is not durable yet. */
  readonly underWay: Array<Write>
}

/** What is being written to a disk. */
interface Write {
  readonly isAppend: boolean
  readonly apply: () => void
}

/** What a disk is part of. */
export interface Situation {
  readonly cluster: string
  readonly replica: ReplicaId.ReplicaId
  readonly timeline: Timeline
  readonly dice: Dice
  readonly clock: MachineClock
  /** Called when a fault has happened. */
  readonly onFault: (fault: string) => void
}

const blank = ReplicaStore.recoveringNote

/** A disk on which nothing was written yet. `founded` says that its replica needs not ask whether it is a first start. */
export const make = ({ clock, dice }: Situation, place: number, boot: number, founded: boolean): Disk => ({
  content: {
    incarnation: LogId.incarnationAt(clock.wallMillis(), dice.below(0x1_0000)),
    logs: new Map(),
    notes: new Map(founded ? [] : [[blank, "blank"]]),
    place,
    boot
  },
  place,
  slowMillis: 0,
  isFull: false,
  isRefusing: false,
  faults: [],
  underWay: []
})

/** A copy of what a disk holds durably. */
export const copyOf = (content: Content): Content => ({
  ...content,
  logs: new Map(Array.from(content.logs, ([log, batches]) => [log, batches.slice()])),
  notes: new Map(content.notes)
})

/**
 * A process or the machine has crashed: of what was under way some has reached the disk, an append as a whole or not at
 * all. Tells what happened to the appends.
 */
export const crash = (disk: Disk, { dice, onFault }: Situation): void => {
  for (const { apply, isAppend } of disk.underWay.splice(0)) {
    const isKept = dice.chance(0.5)
    if (isKept) apply()
    if (isAppend) onFault(isKept ? "unsynced_kept" : "unsynced_lost")
  }
}

/** How far a log is held durably. */
export const headOf = (content: Content, log: LogId.LogId): Watermark.Watermark => {
  const batches = content.logs.get(log)
  return batches === undefined ? Watermark.none(log) : EntryBatch.watermark(batches[batches.length - 1]!)
}

/** The chain after an entry that is held durably; `undefined` beyond. */
export const chainAt = (content: Content, log: LogId.LogId, seq: number): Chain.Chain | undefined => {
  if (seq === 0) return Chain.empty
  const batches = content.logs.get(log)
  if (batches === undefined || seq > headOf(content, log).seq) return undefined
  return EntryBatch.chainAt(batches[indexOf(batches, seq)]!, seq)
}

/**
 * Opens the store for a process. In doubt it renews itself first, as the port demands. `boot` is that of the machine now.
 */
export const open = (
  disk: Disk,
  boot: number,
  process: Owner,
  situation: Situation
): ReplicaStore.ReplicaStore["Service"] => {
  const { clock, cluster, dice, onFault, replica, timeline } = situation
  const { content } = disk
  const draw = (above?: LogId.Incarnation) =>
    LogId.incarnationAt(clock.wallMillis(), dice.below(0x1_0000), LogId.newer(content.incarnation, above))
  const doubt = settle(disk, boot, draw)
  disk.isRefusing = false
  let refusal: ReplicaStore.StoreError | undefined
  let freeAt = 0
  /** Writes something: durable after a while, one write after the other. */
  const write = <A, E>(isAppend: boolean, finish: () => Result.Result<A, E>) =>
    Effect.callback<A, E | ReplicaStore.StoreError>((resume) => {
      if (refusal !== undefined) return resume(Effect.fail(refusal))
      const taken = (dice.chance(0.05) ? dice.between(0, 30) : dice.between(0.1, 1)) + disk.slowMillis
      if (disk.slowMillis > 0) onFault("slow_disk")
      freeAt = Math.max(freeAt, timeline.now()) + taken
      let result: Result.Result<A, E> | undefined
      const job: Write = { isAppend, apply: () => void (result ??= finish()) }
      disk.underWay.push(job)
      timeline.at(process, freeAt, () => {
        const at = disk.underWay.indexOf(job)
        if (at >= 0) disk.underWay.splice(at, 1)
        const fault = isAppend ? disk.faults.shift() : undefined
        if (refusal !== undefined) return resume(Effect.fail(refusal))
        if (fault === undefined && !(isAppend && disk.isFull)) {
          job.apply()
          return resume(Effect.fromResult(result!))
        }
        onFault(fault ?? "disk_full")
        if (fault === "uncertain_held") job.apply()
        if (fault === undefined || fault === "append_error") {
          return resume(
            Effect.fail(errorOf(fault === undefined ? "disk_full" : "unavailable", "a fault: nothing is held"))
          )
        }
        disk.isRefusing = true
        refusal = errorOf("unavailable", "an earlier append is uncertain; open the store again")
        resume(Effect.fail(errorOf("uncertain", "a fault: the sync failed")))
      })
    })

  return ReplicaStore.ReplicaStore.of({
    get identity() {
      return { cluster, replica, incarnation: content.incarnation }
    },
    doubt,
    note: (name) => Effect.sync(() => Option.fromNullishOr(content.notes.get(name))),
    setNotes: (notes) =>
      write(false, () => {
        for (const [name, value] of Object.entries(notes)) content.notes.set(name, value)
        return Result.succeed(undefined)
      }),
    renew: (above) =>
      write(false, () => {
        content.incarnation = draw(above)
        content.notes.set(blank, "lost")
        return Result.succeed(content.incarnation)
      }),
    append: (batch) =>
      write(true, () => {
        const decided = decide(content, batch)
        if (Result.isFailure(decided)) return Result.fail(decided.failure)
        if (decided.success._tag === "Held") return Result.succeed(decided.success.watermark)
        const appended = decided.success.batch
        const batches = content.logs.get(batch.log)
        if (batches === undefined) content.logs.set(batch.log, [appended])
        else batches.push(appended)
        return Result.succeed(EntryBatch.watermark(appended))
      }),
    read: (log, after, maxBytes) =>
      Effect.suspend(() =>
        refusal === undefined ? Effect.succeed(read(content, log, after, maxBytes)) : Effect.fail(refusal)
      ),
    chainAt: (log, seq) => Effect.sync(() => Option.fromNullishOr(chainAt(content, log, seq))),
    watermarks: Effect.sync(() => Array.from(content.logs.keys(), (log) => headOf(content, log))),
    damaged: () => []
  })
}

/** An empty index, which takes its time to merge and to be looked at. */
export const slowIndex = ({ dice }: Situation): RecordIndex.RecordIndex["Service"] => {
  const index = Effect.runSync(RecordIndex.makeMemory)
  const late = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => (dice.chance(0.1) ? Effect.andThen(Effect.sleep(dice.between(1, 20)), effect) : effect))
  return {
    progress: index.progress,
    merge: (pointers, progress) =>
      late(Effect.tap(index.merge(pointers, progress), () => Effect.sleep(dice.between(1, 300)))),
    get: (namespace, key) => late(index.get(namespace, key)),
    scan: (options) => late(index.scan(options)),
    reset: index.reset
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const errorOf = (reason: ReplicaStore.StoreError["reason"], detail: string) =>
  new ReplicaStore.StoreError({ reason, detail })

/** What is in doubt when a disk is opened here and now, answered as the port demands. */
const settle = (disk: Disk, boot: number, draw: () => LogId.Incarnation): ReplicaStore.Doubt => {
  const { content, place } = disk
  const isElsewhere = content.place !== place
  const isRebooted = content.boot !== boot
  const wasBlank = content.notes.get(blank) === "blank"
  content.place = place
  content.boot = boot
  if (isElsewhere || isRebooted) content.incarnation = draw()
  if (isElsewhere) content.notes.set(blank, "lost")
  return isElsewhere ? "other_place" : wasBlank ? "blank" : isRebooted ? "other_boot" : "none"
}

const decide = (content: Content, batch: EntryBatch.EntryBatch) =>
  ReplicaStore.decideAppend(headOf(content, batch.log), batch, (seq) => chainAt(content, batch.log, seq)!)

const read = (
  content: Content,
  log: LogId.LogId,
  after: number,
  maxBytes: number
): Option.Option<EntryBatch.EntryBatch> => {
  const batches = content.logs.get(log)
  if (batches === undefined || after >= headOf(content, log).seq) return Option.none()
  let i = indexOf(batches, after + 1)
  const found: [EntryBatch.EntryBatch, ...Array<EntryBatch.EntryBatch>] = [EntryBatch.after(batches[i]!, after)]
  let size = found[0].bytes.length
  while (++i < batches.length && size < maxBytes) {
    found.push(batches[i]!)
    size += batches[i]!.bytes.length
  }
  return Option.some(EntryBatch.take(EntryBatch.concat(found), maxBytes))
}

/** Which of the batches of a log holds an entry. */
const indexOf = (batches: ReadonlyArray<EntryBatch.EntryBatch>, seq: number): number => {
  let low = 0
  let high = batches.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (EntryBatch.last(batches[middle]!) < seq) low = middle + 1
    else high = middle
  }
  return low
}
