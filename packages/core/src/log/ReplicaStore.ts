/**
 * The port for durable logs, and its in-memory twin.
 */

import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import * as Batches from "./Batches.ts"
import * as Chain from "./Chain.ts"
import type { DamagedRange } from "./DamagedRange.ts"
import { Detail } from "./Detail.ts"
import { type AppendDrift, type AppendGap, decideAppend, decideReplace } from "./Deciding.ts"
import * as EntryBatch from "./EntryBatch.ts"
import * as MemoryDamage from "./MemoryDamage.ts"
import * as LogId from "../identity/LogId.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as Watermark from "./Watermark.ts"

export { DamagedRange } from "./DamagedRange.ts"
export { AppendDrift, AppendGap, decideAppend, decideReplace, withEdges } from "./Deciding.ts"
export type { AppendDecision, HeldPart, ReplaceDecision } from "./Deciding.ts"

/** Whose store it is, written when it is created. Only the incarnation changes: when the store is renewed. */
export const StoreIdentity = Schema.Struct({
  /** The replica set that the store belongs to. */
  cluster: Schema.NonEmptyString,
  replica: ReplicaId.ReplicaId,
  incarnation: LogId.Incarnation
})

/** Whose store it is. */
export type StoreIdentity = typeof StoreIdentity.Type

/** Why a store could not do what was asked. */
export const StoreErrorReason = Schema.Literals([
  "locked",
  "wrong_identity",
  "corrupt",
  "disk_full",
  "read_only",
  "uncertain",
  "unavailable"
])

/**
 * The store could not do what was asked. `detail` names the file or the field and the remedy.
 *
 * - `locked`: another process, or another replica of this program, has the store open
 * - `wrong_identity`: the store belongs to another replica or another replica set
 * - `corrupt`: what is stored is damaged
 * - `disk_full`, `read_only`: nothing can be written
 * - `uncertain`: this append failed and could not be undone, so whether it is held is not known. It is said of that
 *   append alone: the calls after it, which were never tried, fail with `unavailable`
 * - `unavailable`: anything else, and a store that was closed
 */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", {
  reason: StoreErrorReason,
  detail: Detail,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `store ${this.reason}: ${this.detail}`
  }
}

/** The folder that a store is given, or what is wrong with it: an empty path would be the current folder. */
export const checkFolder = (folder: string): Effect.Effect<string, StoreError> =>
  typeof folder === "string" && folder !== ""
    ? Effect.succeed(folder)
    : Effect.fail(
        new StoreError({
          reason: "unavailable",
          detail: "folder: it is a path, and not empty; give the one in which this replica keeps its files"
        })
      )

/**
 * What a store may not know at the start.
 *
 * - `none`: it goes on where it was closed
 * - `other_boot`: the machine was started anew since, so what was written and not synced may be gone
 * - `sync_failed`: what it wrote last could not be synced, and may be gone likewise
 * - `other_place`: it, or a part of it, was copied, restored, moved or removed, so it may be older than what its replica acknowledged
 * - `blank`: it was created empty, and its replica has not been told since whether that is a first start or a loss
 */
export const Doubt = Schema.Literals(["none", "other_boot", "sync_failed", "other_place", "blank"])

/** What a store may not know at the start. */
export type Doubt = typeof Doubt.Type

/** How much room a store takes, in bytes. */
export interface Space {
  /** All of it, as the file system sees it: free room included, what waits to be moved into the files not. */
  readonly taken: number
  /** What is free in it, and used before more is taken. */
  readonly free: number
  /** Where there is an end to it, as on a disk: how much more it may take now, and how much the whole of it is. */
  readonly limit?: { readonly left: number; readonly of: number }
}

/**
 * The note in which a store that is in doubt says, before anybody else can, that something may be missing that was
 * acknowledged: `blank` or `lost`. Its replica empties it when that is no longer so.
 */
export const recoveringNote = "recovering"

/**
 * The note that a store was filled from a backup, or by a replica that was: what it holds may have been deleted since. Its
 * replica empties it too.
 */
export const restoredNote = "restored"

/** What stands there until all of the backup is in the store. No replica starts on less: it would be missing for ever. */
export const restoredInPart = "in part"

/**
 * The durable logs of one replica: its own and its copies of its peers', and its notes.
 *
 * Duties of an implementation:
 * - `append` is atomic, and durable when it returns: a crash right after it loses nothing, a crash before it leaves
 *   nothing behind. When it fails, nothing of the batch is held, now or after a restart, unless the reason is `uncertain`.
 * - A store that can tell the two halves of an append apart gives them as `steps`: `write` does all that `append` does but
 *   waiting for the disk, and `sync` waits, once for all that was written before it was called. Syncs are shared: one is
 *   under way, and the next covers all that came meanwhile. What is written and not synced survives the process and not
 *   the machine, of which any part may be lost then; it can be read, and `watermarks` say nothing of it. When a sync fails,
 *   it fails with `uncertain` for all who wait for it, and the calls after it fail with `unavailable`: it is not tried again,
 *   because the operating system may have forgotten what it could not write. What was written may have been pushed by then,
 *   so the next start is in doubt (`sync_failed`).
 * - `append` is idempotent, refuses gaps and never overwrites: it does what {@link decideAppend} says.
 * - Calls may be concurrent; appends to one log take effect one after the other.
 * - One process at a time: opening a store that is open elsewhere fails with `locked`.
 * - The end of every log is looked at when the store is opened: damage there is named from the beginning, because a log may
 *   not go on behind it. Other damage may be named when it is read.
 * - `identity` changes by {@link ReplicaStore.renew} alone, which a store in doubt does by itself before it is returned:
 *   `other_boot` and `sync_failed` give it a new incarnation that follows with a `boot`, `other_place` one that follows with
 *   a `loss` (see `LogId.incarnations`) and the note {@link recoveringNote}. One that is created has the note from the
 *   beginning.
 */
export class ReplicaStore extends Context.Service<
  ReplicaStore,
  {
    /** Whose store it is now. */
    readonly identity: StoreIdentity
    /** What was in doubt when it was opened. */
    readonly doubt: Doubt
    /** A note: a small text under a name, as it was set last. */
    readonly note: (name: string) => Effect.Effect<Option.Option<string>, StoreError>
    /** Sets notes, all or none of them; durable when it returns. */
    readonly setNotes: (notes: Readonly<Record<string, string>>) => Effect.Effect<void, StoreError>
    /**
     * Gives the store a new incarnation, newer than its own and than `above`, and the note {@link recoveringNote}, in one
     * step; durable when it returns.
     */
    readonly renew: (above?: LogId.Incarnation) => Effect.Effect<LogId.Incarnation, StoreError>
    /** Appends the part of a validated batch that is not held yet. Returns the watermark at the end of the batch. */
    readonly append: (
      batch: EntryBatch.EntryBatch
    ) => Effect.Effect<Watermark.Watermark, AppendGap | AppendDrift | StoreError>
    /** The two halves of an append, where they can be told apart. */
    readonly steps?: {
      /** Appends in order, not yet durably. Returns the watermark at the end of the batch. */
      readonly write: (
        batch: EntryBatch.EntryBatch
      ) => Effect.Effect<Watermark.Watermark, AppendGap | AppendDrift | StoreError>
      /** Makes durable all that was written before. */
      readonly sync: Effect.Effect<void, StoreError>
    }
    /**
     * The entries after `after`, in order, as many as fit in `maxBytes` but at least one; none when `after` is the last.
     * Erased entries are read as the range that stands for them, whole: where `after` is among them, the batch begins with
     * the first of these.
     */
    readonly read: (
      log: LogId.LogId,
      after: number,
      maxBytes: number
    ) => Effect.Effect<Option.Option<EntryBatch.EntryBatch>, StoreError>
    /**
     * The chain after entry `seq`; none when `seq` is beyond what is held, or erased together with the next. `chainAt(log,
     * 0)` is the empty chain.
     */
    readonly chainAt: (log: LogId.LogId, seq: number) => Effect.Effect<Option.Option<Chain.Chain>, StoreError>
    /** How far every log is durably held. Logs of which nothing is held are absent. */
    readonly watermarks: Effect.Effect<Watermark.VersionVector, StoreError>
    /**
     * The damage that was found, by reads, by `check` or at the start, and is not mended, in the order
     * in which it was found. What is damaged is not held. The array is another one whenever something of it changes.
     */
    readonly damaged: () => ReadonlyArray<DamagedRange>
    /**
     * Reads again what is stored of the entries after `after`, about `maxBytes` of them and at least one row, from the
     * files and not from what was read before. Each row has to fit its chain and the row before it. Returns the last
     * entry that was looked at: `after` itself where nothing durable follows. Damage is no failure; `damaged` names it.
     */
    readonly check: (log: LogId.LogId, after: number, maxBytes: number) => Effect.Effect<number, StoreError>
    /**
     * Puts a validated batch in the place of what is stored at its places; durable when it returns, all of it or nothing:
     * a crash on the way leaves what was there before, or the batch. It may reach beyond the end of the log, which ends
     * with it then. What is stored beside it stays; small rows may be joined, so that what is left of many does not stay
     * small. It does what {@link decideReplace} says, and a batch that does not fit is refused and changes nothing.
     *
     * This is how damaged entries are mended, superseded ones erased, and erased ones taken over from another replica. The
     * room that it frees is used again, or given back to the file system. A batch that is there already is of 128 KiB at
     * most, so that nothing waits for long.
     */
    readonly replace: (batch: EntryBatch.EntryBatch) => Effect.Effect<void, AppendGap | AppendDrift | StoreError>
    /**
     * Gives up the end of a log when it is damaged so that nobody can tell what the log ends with: from now on, durably,
     * it ends with the last sound entry before that. Returns its end. An end that is known stays.
     *
     * With `after`, all that the log holds after that entry is given up, sound or not: the log goes on otherwise elsewhere.
     * Of a log that ends there, or before, nothing is.
     */
    readonly cut: (log: LogId.LogId, after?: number) => Effect.Effect<Watermark.Watermark, StoreError>
    /** How much room the logs and notes take where they are stored. Cheap enough to be asked every second. */
    readonly space: Effect.Effect<Space, StoreError>
    /**
     * How long the last append took to make its entries durable once they were handed over, in milliseconds: a part of
     * the append. Absent where a store does not know it apart.
     */
    readonly lastSyncMillis?: () => number
  }
>()("@quorum/core/ReplicaStore") {}

/** Why a log cannot be given up after an entry: nobody knows the chain there any more. */
export const endsErased = (log: LogId.LogId, seq: number): StoreError =>
  new StoreError({ reason: "unavailable", detail: `entry ${seq} of ${log} is erased, so the log cannot end with it` })

/** A store in memory, and a bad disk under it. */
export type MemoryStore = ReplicaStore["Service"] & {
  /** Damages the entry at a place that is held: it cannot be read any more, now or after a reopen. */
  readonly damage: (log: LogId.LogId, seq: number) => void
}

/**
 * A store in memory: the contract of the port without durability. For tests and for trying things; whoever keeps a
 * reference to it may "restart" a replica on it. It is in no doubt unless one is given, whatever it holds.
 */
export const makeMemory = (identity: {
  readonly cluster: string
  readonly replica: ReplicaId.ReplicaId
  readonly incarnation?: LogId.Incarnation
  readonly doubt?: Doubt
}): Effect.Effect<MemoryStore> =>
  Effect.gen(function* () {
    const { cluster, doubt = "none", replica } = identity
    const draw = yield* LogId.incarnations
    let incarnation = identity.incarnation ?? draw()
    const notes = new Map<string, string>()
    if (doubt === "blank" || doubt === "other_place") notes.set(recoveringNote, doubt === "blank" ? "blank" : "lost")
    const logs = new Map<LogId.LogId, Array<EntryBatch.EntryBatch>>()
    const damage = MemoryDamage.make()
    const headOf = (log: LogId.LogId): Watermark.Watermark => {
      const batches = logs.get(log)
      return batches === undefined ? Watermark.none(log) : EntryBatch.watermark(batches[batches.length - 1]!)
    }
    const chainAt = (log: LogId.LogId, seq: number): Chain.Chain | undefined => {
      if (seq === 0) return Chain.empty
      const batches = logs.get(log)!
      return EntryBatch.chainAt(batches[Batches.indexOf(batches, seq)]!, seq)
    }
    const isHidden = (log: LogId.LogId, seq: number): boolean => damage.hides(log, seq, headOf(log).seq)
    const damagedAt = (log: LogId.LogId, seq: number): StoreError => {
      damage.found(log, seq)
      return new StoreError({ reason: "corrupt", detail: `entry ${seq} of ${log} is damaged` })
    }
    return {
      get identity() {
        return { cluster, replica, incarnation }
      },
      doubt,
      note: (name) => Effect.sync(() => Option.fromNullishOr(notes.get(name))),
      setNotes: (changed) =>
        Effect.sync(() => {
          for (const [name, value] of Object.entries(changed)) notes.set(name, value)
        }),
      renew: (above) =>
        Effect.sync(() => {
          incarnation = draw(LogId.newer(incarnation, above))
          notes.set(recoveringNote, "lost")
          return incarnation
        }),
      append: (batch) =>
        Effect.suspend((): ReturnType<ReplicaStore["Service"]["append"]> => {
          const { log } = batch
          const head = headOf(log)
          const asked = [head.seq, batch.from - 1, Math.min(EntryBatch.last(batch), head.seq)]
          const hidden = asked.find((seq) => seq <= head.seq && isHidden(log, seq))
          if (hidden !== undefined) return Effect.fail(damagedAt(log, hidden))
          const decision = decideAppend(head, batch, (seq) => chainAt(log, seq))
          if (Result.isFailure(decision)) return Effect.fail(decision.failure)
          if (decision.success._tag === "Held") return Effect.succeed(decision.success.watermark)
          const appended = decision.success.batch
          const batches = logs.get(log)
          if (batches === undefined) logs.set(log, [appended])
          else batches.push(appended)
          return Effect.succeed(EntryBatch.watermark(appended))
        }),
      read: (log, after, maxBytes) =>
        Effect.suspend(() => {
          const batches = logs.get(log)
          if (batches === undefined || after >= headOf(log).seq) return Effect.succeedNone
          if (damage.isAt(log, after + 1)) return Effect.fail(damagedAt(log, after + 1))
          return Effect.succeedSome(damage.upTo(Batches.read(batches, after, maxBytes)))
        }),
      chainAt: (log, seq) =>
        Effect.suspend(() => {
          if (seq === 0) return Effect.succeedSome(Watermark.none(log).chain)
          if (seq > headOf(log).seq) return Effect.succeedNone
          return isHidden(log, seq)
            ? Effect.fail(damagedAt(log, seq))
            : Effect.succeed(Option.fromNullishOr(chainAt(log, seq)))
        }),
      watermarks: Effect.sync(() => Array.from(logs.keys(), headOf)),
      check: (log, after, maxBytes) =>
        Effect.sync(() => {
          const head = headOf(log).seq
          let end = after
          for (let room = maxBytes; room > 0 && end < head; room -= 64) {
            end++
            if (damage.isAt(log, end)) damage.found(log, end)
          }
          return end
        }),
      replace: (batch) =>
        Effect.suspend((): ReturnType<ReplicaStore["Service"]["replace"]> => {
          const { from, log } = batch
          const head = headOf(log)
          const to = EntryBatch.last(batch)
          if (to >= head.seq && isHidden(log, head.seq)) return Effect.fail(damagedAt(log, head.seq))
          const known = (seq: number) => (isHidden(log, seq) ? undefined : chainAt(log, seq))
          const decision = decideReplace({ head, damaged: damage.all(), chainAt: known }, batch)
          if (Result.isFailure(decision)) return Effect.fail(decision.failure)
          if (decision.success === "Held") return Effect.void
          logs.set(log, [...Batches.put(logs.get(log) ?? [], batch)])
          damage.mend({ log, from, to })
          return Effect.void
        }),
      cut: (log, after) =>
        Effect.suspend(() => {
          const { seq: head } = headOf(log)
          let end = Math.min(after ?? head, head)
          while (after === undefined && end > 0 && damage.isAt(log, end)) end--
          if (end === head) return Effect.succeed(headOf(log))
          if (chainAt(log, end) === undefined) return Effect.fail(endsErased(log, end))
          if (end === 0) logs.delete(log)
          else logs.set(log, [...Batches.upTo(logs.get(log)!, end)])
          damage.mend({ log, from: end + 1, to: head })
          return Effect.succeed(headOf(log))
        }),
      damaged: damage.all,
      space: Effect.sync(() => {
        let taken = 0
        for (const batches of logs.values()) for (const { bytes } of batches) taken += bytes.length
        return { taken, free: 0 }
      }),
      damage: (log, seq) => {
        const batches = logs.get(log)!
        const element = EntryBatch.take(EntryBatch.after(batches[Batches.indexOf(batches, seq)]!, seq - 1), 1)
        damage.make({ log, from: element.from, to: EntryBatch.last(element) }, headOf(log).seq)
      }
    }
  })

/** {@link makeMemory} for this replica, as a layer; a new store each time it is built. */
export const layerMemory: Layer.Layer<ReplicaStore, never, ReplicaSet> = Layer.fresh(
  Layer.effect(
    ReplicaStore,
    Effect.flatMap(ReplicaSet, ({ cluster, self }) => makeMemory({ cluster, replica: self }))
  )
)
