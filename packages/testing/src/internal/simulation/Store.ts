/**
 * The store on the disk of a replica, as the port demands it: what is written is durable when it was synced, and what is
 * damaged is found when it is read. And the index beside it.
 */
import { LogId } from "@quorum/core"
import { Batches, DamagedRange, EntryBatch, RecordIndex, ReplicaStore, type Watermark } from "@quorum/core/adapter"
import { Effect, Option, Result } from "effect"
import * as Disk from "./Disk.ts"
import type { Owner } from "./Timeline.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

/**
 * Opens the store for a process. In doubt it renews itself first, as the port demands. `boot` is that of the machine now.
 */
export const open = (disk: Disk.Disk, boot: number, process: Owner, situation: Disk.Situation): Store => {
  const { clock, cluster, dice, hasSteps, onFault, replica } = situation
  const { content } = disk
  const draw = (above?: LogId.Incarnation) =>
    LogId.incarnationAt(clock.wallMillis(), dice.below(0x1_0000), LogId.newer(content.incarnation, above))
  // What was written by a process that is gone is in the page cache: it is synced before anybody hears of it.
  Disk.settle(disk, situation)
  const doubt = settle(disk, boot, draw, () => LogId.incarnationAfterBoot(content.incarnation, dice.below(0x10_0000)))
  disk.isRefusing = false
  disk.openedAt = situation.timeline.now()
  const damage = makeDamage(disk, situation)
  const device = makeDevice(disk, process, situation)

  const write = (batch: EntryBatch.EntryBatch): ReturnType<Store["append"]> =>
    device.write(true, dice.between(0.02, 0.3), () => {
      const decided = decide(disk, damage, batch)
      if (Result.isFailure(decided)) return Result.fail(decided.failure)
      if (decided.success._tag === "Held") return Result.succeed(decided.success.watermark)
      disk.written.push(decided.success.batch)
      return Result.succeed(EntryBatch.watermark(decided.success.batch))
    })

  const sync = device.sync(() => {
    const covered = disk.written.slice()
    return () => Disk.settle(disk, situation, covered)
  })

  const note = <A>(change: () => A): Effect.Effect<A, ReplicaStore.StoreError> =>
    device.write(false, device.syncMillis(), () => Result.succeed(change()))

  const read = (log: LogId.LogId, after: number, maxBytes: number) =>
    Effect.suspend(() => {
      if (after >= Disk.endOf(disk, log).seq) return Effect.succeedNone
      if (Disk.isFlipped(content, log, after + 1)) return Effect.fail(damage.found(log, after + 1))
      return Effect.succeedSome(damage.upTo(readOf(disk, log, after, maxBytes)))
    })

  if (hasSteps) onFault("written_apart")
  return ReplicaStore.ReplicaStore.of({
    get identity() {
      return { cluster, replica, incarnation: content.incarnation }
    },
    doubt,
    note: (name) => Effect.sync(() => Option.fromNullishOr(content.notes.get(name))),
    setNotes: (notes) =>
      note(() => {
        for (const [name, value] of Object.entries(notes)) {
          content.notes.set(name, value)
          if (name === "away") content.everMarked.add(value)
        }
        situation.onNoted(notes)
      }),
    renew: (above) =>
      note(() => {
        content.incarnation = draw(above)
        content.notes.set(Disk.blank, "lost")
        situation.onNoted({ [Disk.blank]: "lost" })
        return content.incarnation
      }),
    append: (batch) => Effect.uninterruptible(Effect.flatMap(write(batch), (watermark) => Effect.as(sync, watermark))),
    ...(hasSteps ? { steps: { write, sync } } : {}),
    read: (log, after, maxBytes) => Effect.andThen(device.available, read(log, after, maxBytes)),
    chainAt: (log, seq) =>
      Effect.suspend(() => {
        if (damage.hides(log, seq)) return Effect.fail(damage.found(log, seq))
        return Effect.succeed(Option.fromNullishOr(chainOf(disk, log, seq)))
      }),
    watermarks: Effect.sync(() => Array.from(content.logs.keys(), (log) => Disk.headOf(content, log))),
    damaged: () => disk.found,
    space: Effect.sync(() => ({ taken: Disk.bytesOf(content), free: 0 })),
    check: (log, after, maxBytes) => Effect.sync(() => damage.check(log, after, maxBytes)),
    replace: (batch) =>
      device.write(false, device.syncMillis(), (): Replaced => {
        const { from, log } = batch
        const to = EntryBatch.last(batch)
        const head = Disk.endOf(disk, log)
        if (to >= head.seq && damage.hides(log, head.seq)) return Result.fail(damage.found(log, head.seq))
        const chainAt = (seq: number) => (damage.hides(log, seq) ? undefined : chainOf(disk, log, seq))
        const decision = ReplicaStore.decideReplace({ head, damaged: disk.found, chainAt }, batch)
        if (Result.isFailure(decision)) return Result.fail(decision.failure)
        if (decision.success === "Held") return Result.succeed(undefined)
        if (decision.success === "Mend") onFault("damage_mended")
        if (EntryBatch.erasedAt(batch) !== undefined) onFault("erased")
        if (EntryBatch.hasErasedDeletes(batch)) onFault("deletes_forgotten")
        // Its own sync covers what was written before it.
        Disk.settle(disk, situation)
        const going = Disk.goingBy(content, batch)
        if (going.length > 0) situation.onErased(going)
        Disk.put(content, batch)
        situation.onHeld(batch)
        damage.gone({ log, from, to })
        return Result.succeed(undefined)
      }),
    cut: (log, after) =>
      note(() => {
        const { seq } = Disk.endOf(disk, log)
        if (after === undefined ? !damage.hides(log, seq) : after >= seq) return Disk.headOf(content, log)
        onFault(after === undefined ? "end_cut" : "side_given_up")
        situation.onCut()
        const end = Disk.cut(content, log, after)
        damage.gone({ log, from: end.seq + 1, to: seq })
        return end
      })
  })
}

/** An empty index, which takes its time to merge and to be looked at. */
export const slowIndex = ({ dice }: Disk.Situation): RecordIndex.RecordIndex["Service"] => {
  const index = Effect.runSync(RecordIndex.makeMemory)
  const late = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => (dice.chance(0.1) ? Effect.andThen(Effect.sleep(dice.between(1, 20)), effect) : effect))
  return {
    progress: index.progress,
    // What is merged is seen at its end, as that of a transaction.
    merge: (pointers, progress) =>
      Effect.suspend(() =>
        Effect.andThen(
          Effect.sleep(dice.chance(0.2) ? dice.between(100, 1500) : dice.between(1, 20)),
          index.merge(pointers, progress)
        )
      ),
    forget: index.forget,
    get: (namespace, key) => late(index.get(namespace, key)),
    getAll: (keys) => late(index.getAll(keys)),
    scan: (options) => late(index.scan(options)),
    reset: index.reset
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const errorOf = (reason: ReplicaStore.StoreError["reason"], detail: string) =>
  new ReplicaStore.StoreError({ reason, detail })

/** What is in doubt when a disk is opened here and now, answered as the port demands. */
const settle = (
  disk: Disk.Disk,
  boot: number,
  afterLoss: () => LogId.Incarnation,
  afterBoot: () => LogId.Incarnation
): ReplicaStore.Doubt => {
  const { content, place } = disk
  const isElsewhere = content.place !== place
  const isRebooted = content.boot !== boot
  const isUnsynced = disk.isRefusing
  const wasBlank = content.notes.get(Disk.blank) === "blank"
  content.place = place
  content.boot = boot
  if (isElsewhere) content.incarnation = afterLoss()
  else if (isRebooted || isUnsynced) content.incarnation = afterBoot()
  if (isElsewhere) content.notes.set(Disk.blank, "lost")
  if (isElsewhere) return "other_place"
  if (wasBlank) return "blank"
  return isRebooted ? "other_boot" : isUnsynced ? "sync_failed" : "none"
}

type Resume = (effect: Effect.Effect<void, ReplicaStore.StoreError>) => void

/** What does the work: one write after the other, and syncs that are shared. */
const makeDevice = (disk: Disk.Disk, process: Owner, situation: Disk.Situation) => {
  const { dice, onFault, timeline } = situation
  let refusal: ReplicaStore.StoreError | undefined
  let freeAt = 0
  let waiting: Array<Resume> = []
  let isSyncing = false

  const syncMillis = (): number => (dice.chance(0.05) ? dice.between(0, 30) : dice.between(0.1, 1)) + disk.slowMillis

  /** Why nothing can be done now. */
  const obstacle = (): ReplicaStore.StoreError | undefined => {
    if (refusal !== undefined || !disk.isRemoved) return refusal
    onFault("removed_folder")
    return errorOf("unavailable", "a fault: the folder is gone")
  }

  const available = Effect.suspend(() => {
    const found = obstacle()
    return found === undefined ? Effect.void : Effect.fail(found)
  })

  /** A sync has failed, and what it was for may be on the disk or not: whoever asks from now on is refused. */
  const failSync = (fault: string): ReplicaStore.StoreError => {
    onFault(fault)
    disk.isRefusing = true
    refusal = errorOf("unavailable", "an earlier append is uncertain; open the store again")
    if (fault === "uncertain_held") Disk.settle(disk, situation)
    else Disk.losePart(disk, situation)
    return errorOf("uncertain", "a fault: the sync failed")
  }

  const writing = <A, E>(isAppend: boolean, millis: number, finish: () => Result.Result<A, E>) =>
    Effect.callback<A, E | ReplicaStore.StoreError>((resume) => {
      const before = obstacle()
      if (before !== undefined) return resume(Effect.fail(before))
      freeAt = Math.max(freeAt, timeline.now()) + millis
      let result: Result.Result<A, E> | undefined
      const job: Disk.Write = { isAppend, apply: () => void (result ??= finish()) }
      disk.underWay.push(job)
      timeline.at(process, freeAt, () => {
        const at = disk.underWay.indexOf(job)
        if (at >= 0) disk.underWay.splice(at, 1)
        const meanwhile = obstacle()
        if (meanwhile !== undefined) return resume(Effect.fail(meanwhile))
        if (isAppend && disk.faults[0] === "append_error") {
          onFault(disk.faults.shift()!)
          return resume(Effect.fail(errorOf("unavailable", "a fault: nothing is held")))
        }
        if (isAppend && disk.isFull) {
          onFault("disk_full")
          return resume(Effect.fail(errorOf("disk_full", "a fault: nothing is held")))
        }
        job.apply()
        resume(Effect.fromResult(result!))
      })
    })

  /** What was written may be there, whatever keeps it from being synced. */
  const unsynced = (): ReplicaStore.StoreError | undefined => {
    const found = obstacle()
    return found && errorOf("uncertain", found.detail)
  }

  const syncing = (begin: () => () => void) => {
    const start = (): void => {
      if (isSyncing || waiting.length === 0) return
      isSyncing = true
      const served = waiting
      waiting = []
      const finish = begin()
      if (disk.slowMillis > 0) onFault("slow_disk")
      timeline.at(process, Math.max(freeAt, timeline.now()) + syncMillis(), () => {
        isSyncing = false
        const fault =
          disk.faults[0] === "uncertain_held" || disk.faults[0] === "uncertain_lost" ? disk.faults.shift() : undefined
        const failure = unsynced() ?? (fault === undefined ? undefined : failSync(fault))
        if (failure === undefined) finish()
        const answer = failure === undefined ? Effect.void : Effect.fail(failure)
        for (const resume of failure === undefined ? served : [...served, ...waiting.splice(0)]) resume(answer)
        start()
      })
    }
    return Effect.callback<void, ReplicaStore.StoreError>((resume) => {
      const before = unsynced()
      if (before !== undefined) return resume(Effect.fail(before))
      waiting.push(resume)
      start()
    })
  }

  return { available, syncMillis, write: writing, sync: syncing }
}

/** What the store knows of the damage on its disk: it is found when it is read, and the end of a log at once. */
const makeDamage = (disk: Disk.Disk, { onFault, timeline }: Disk.Situation) => {
  const { content } = disk
  disk.found = []
  const found = (log: LogId.LogId, seq: number): ReplicaStore.StoreError => {
    if (!disk.found.some((range) => range.log === log && range.from === seq)) {
      onFault("damage_found")
      disk.found = [...disk.found, { log, from: seq, to: seq, at: timeline.now() }]
    }
    return errorOf("corrupt", `entry ${seq} of ${log} is damaged`)
  }
  for (const log of content.flipped.keys()) {
    const { seq } = Disk.headOf(content, log)
    if (Disk.isFlipped(content, log, seq)) found(log, seq)
  }
  return {
    found,
    /** Looks at the entries after one, as many as a slice has. Returns the last of them. */
    check: (log: LogId.LogId, after: number, maxBytes: number): number => {
      const end = Math.min(Disk.headOf(content, log).seq, after + Math.ceil(maxBytes / 64))
      for (let seq = after + 1; seq <= end; seq++) if (Disk.isFlipped(content, log, seq)) found(log, seq)
      return Math.max(after, end)
    },
    /** Entries are mended, or given up. */
    gone: (mended: DamagedRange.DamagedRange): void => {
      const flipped = content.flipped.get(mended.log)
      for (const seq of flipped ?? []) if (mended.from <= seq && seq <= mended.to) flipped!.delete(seq)
      if (flipped?.size === 0) content.flipped.delete(mended.log)
      disk.found = disk.found.filter((range) => !DamagedRange.overlaps(range, mended))
    },
    /** Whether nobody can tell the chain after an entry: it is damaged, and so is the one that begins with that chain. */
    hides: (log: LogId.LogId, seq: number): boolean =>
      Disk.isFlipped(content, log, seq) && (seq === Disk.endOf(disk, log).seq || Disk.isFlipped(content, log, seq + 1)),
    /** The entries of a batch before the first that is damaged, which is not its first. */
    upTo: (batch: EntryBatch.EntryBatch): EntryBatch.EntryBatch => {
      if (!content.flipped.has(batch.log)) return batch
      const last = EntryBatch.last(batch)
      const bad = Array.from(content.flipped.get(batch.log)!).filter((seq) => batch.from <= seq && seq <= last)
      if (bad.length === 0) return batch
      const first = Math.min(...bad)
      found(batch.log, first)
      return EntryBatch.upTo(batch, first - 1)
    }
  }
}

const chainOf = (disk: Disk.Disk, log: LogId.LogId, seq: number) => {
  if (seq <= Disk.headOf(disk.content, log).seq) return Disk.chainAt(disk.content, log, seq)
  if (seq > Disk.endOf(disk, log).seq) return undefined
  const batches = Disk.batchesOf(disk, log)
  return EntryBatch.chainAt(batches[Batches.indexOf(batches, seq)]!, seq)
}

type Replaced = Result.Result<void, ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError>

type Decided = Result.Result<
  ReplicaStore.AppendDecision,
  ReplicaStore.AppendGap | ReplicaStore.AppendDrift | ReplicaStore.StoreError
>

const decide = (disk: Disk.Disk, damage: ReturnType<typeof makeDamage>, batch: EntryBatch.EntryBatch): Decided => {
  const { log } = batch
  const head: Watermark.Watermark = Disk.endOf(disk, log)
  const asked = [head.seq, batch.from - 1, Math.min(EntryBatch.last(batch), head.seq)]
  const hidden = asked.find((seq) => seq <= head.seq && damage.hides(log, seq))
  if (hidden !== undefined) return Result.fail(damage.found(log, hidden))
  return ReplicaStore.decideAppend(head, batch, (seq) => chainOf(disk, log, seq)!)
}

const readOf = (disk: Disk.Disk, log: LogId.LogId, after: number, maxBytes: number): EntryBatch.EntryBatch =>
  Batches.read(Disk.batchesOf(disk, log), after, maxBytes)
