/**
 * Reads: the newest value of a key, as far as this replica holds the logs.
 *
 * The record index is filled behind the logs, in large sorted steps and off the path of a commit. What it does not
 * cover yet is kept in memory as pointers, so a read sees everything that is durably appended here.
 */
import { Context, Effect, Latch, Layer, Option, Schema } from "effect"
import * as WriteId from "../identity/WriteId.ts"
import * as Arrival from "../log/Arrival.ts"
import * as Chain from "../log/Chain.ts"
import * as Entry from "../log/Entry.ts"
import type * as EntryBatch from "../log/EntryBatch.ts"
import * as Erased from "../log/Erased.ts"
import { ReplicaLogs } from "../log/ReplicaLogs.ts"
import { contains, type DamagedRange } from "../log/DamagedRange.ts"
import { StoreError } from "../log/ReplicaStore.ts"
import * as Version from "../log/Version.ts"
import { WriteReplaced } from "../quorum/QuorumError.ts"
import * as IndexFollower from "./IndexFollower.ts"
import * as Parts from "./internal/Parts.ts"
import { NotYetVisible } from "./NotYetVisible.ts"
import { ReadRejected } from "./ReadRejected.ts"
import * as Pages from "./Pages.ts"
import { type Newest, type Record, recordOf } from "./Record.ts"
import * as RecordIndex from "./RecordIndex.ts"
import * as RecordKey from "./RecordKey.ts"

/** What a read waits for. */
export interface ReadOptions {
  /** The write that has to be visible here first. */
  readonly atLeast?: WriteId.WriteId
  /** How long it may take until it is, in milliseconds; 2,000 unless given. */
  readonly withinMillis?: number
}

/** Reads of the records as this replica holds them. */
export class LocalRecords extends Context.Service<
  LocalRecords,
  Pages.Pages & {
    /**
     * The newest value of a key; none when it was never written or is deleted.
     *
     * With `atLeast` it waits until that write is visible here: a client reads its own writes on any replica.
     * `WriteReplaced` when its place is another write's here.
     */
    readonly read: (
      namespace: string,
      key: string,
      options?: ReadOptions
    ) => Effect.Effect<Option.Option<Record>, StoreError | NotYetVisible | WriteReplaced | ReadRejected>
    /** What {@link read} reads, a delete too; one that cannot be read here is nothing, as for a reader. */
    readonly seen: (
      namespace: string,
      key: string,
      options?: ReadOptions
    ) => Effect.Effect<Option.Option<Newest>, StoreError | NotYetVisible | WriteReplaced | ReadRejected>
    /**
     * Waits until a write is visible here, for so many milliseconds at most, and no longer than this replica is open.
     * `WriteReplaced` when its place is another write's here.
     */
    readonly arrived: (
      writeId: WriteId.WriteId,
      withinMillis: number
    ) => Effect.Effect<void, StoreError | NotYetVisible | WriteReplaced>
    /**
     * The newest write of a key, a delete too; nothing when none is held. It fails with `corrupt` where that cannot be
     * known, because there is damage that may be of any key: nobody may be told that there is nothing newer here. What is
     * `lost`, because no member has it, is no write that anybody could be told of, and hides nothing.
     */
    readonly newest: (
      namespace: string,
      key: string,
      lost: ReadonlyArray<DamagedRange>
    ) => Effect.Effect<Newest | undefined, StoreError>
    /** The version of {@link newest}, by the index alone: its log is not looked at. */
    readonly version: (
      ...of: readonly [namespace: string, key: string, lost: ReadonlyArray<DamagedRange>]
    ) => Effect.Effect<Version.Version | undefined, StoreError>
  }
>()("@quorum/core/LocalRecords") {}

/** Builds the reads on the logs and the index of this replica. */
export const make = Effect.gen(function* () {
  const logs = yield* ReplicaLogs
  const follower = yield* IndexFollower.IndexFollower

  let isClosing = false
  const closing = yield* Effect.acquireRelease(Latch.make(), (latch) =>
    Effect.suspend(() => {
      isClosing = true
      return latch.open
    })
  )

  /** Waits until a write is here, for so long, and no longer than this replica is open: what comes then is in no index. */
  const waited = (writeId: WriteId.WriteId, withinMillis: number) =>
    Effect.suspend(() => {
      const late = Effect.fail(new NotYetVisible({ writeId }))
      const unlessClosing = Effect.suspend(() => (isClosing ? late : Effect.void))
      if (isClosing || Arrival.isReached(logs, writeId)) return unlessClosing
      return Effect.timeoutOrElse(Effect.raceFirst(Arrival.reached(logs, writeId), closing.await), {
        duration: withinMillis,
        orElse: () => late
      }).pipe(Effect.andThen(unlessClosing))
    })

  const arrived = (writeId: WriteId.WriteId, withinMillis: number) =>
    Effect.andThen(waited(writeId, withinMillis), isWhatItWas(logs, writeId))

  /**
   * The write that a pointer leads to, or, where that was erased meanwhile, the newer one; nothing where it was a delete
   * that is forgotten. When it is another one, the index is damaged.
   */
  const resolve = (pointer: RecordIndex.Pointer): Effect.Effect<Newest | undefined, StoreError> =>
    Effect.flatMap(logs.read(pointer.log, pointer.seq - 1, 1), (batch) => {
      const found = writeIn(Option.getOrUndefined(batch), pointer)
      if (found !== "erased" && found !== undefined) return Effect.succeed(found)
      if (found === "erased") {
        if (pointer.deleted) return Effect.undefined
        return Effect.flatMap(follower.newest(pointer.namespace, pointer.key), (now) => {
          if (now === undefined) return Effect.undefined
          return RecordIndex.compare(now, pointer) > 0 ? resolve(now) : misled(pointer)
        })
      }
      return misled(pointer)
    })

  const misled = (pointer: RecordIndex.Pointer): Effect.Effect<never, StoreError> =>
    Effect.suspend(() => {
      const detail = `the index points to entry ${pointer.seq} of ${pointer.log}, which is another`
      const error = new StoreError({ reason: "corrupt", detail })
      return Effect.andThen(follower.distrust(error), Effect.fail(error))
    })

  const pointing = Effect.fnUntraced(function* (namespace: string, key: string, lost: ReadonlyArray<DamagedRange>) {
    const isHiding = (range: DamagedRange): boolean => !lost.some((gone) => contains(gone, range))
    const before = follower.unreadable()
    const pointer = yield* follower.newest(namespace, key)
    // What is mended meanwhile may be missing of what the index says.
    const hidden = before.find(isHiding) ?? follower.unreadable().find(isHiding)
    return hidden === undefined ? pointer : yield* hiding(hidden)
  })

  const newest: LocalRecords["Service"]["newest"] = (...of) =>
    Effect.flatMap(pointing(...of), (pointer) => (pointer === undefined ? Effect.undefined : resolve(pointer)))

  const pointed = (
    namespace: string,
    key: string,
    ofDelete: (pointer: RecordIndex.Pointer) => Effect.Effect<Newest | undefined, StoreError>
  ): Effect.Effect<Newest | undefined, StoreError> =>
    RecordKey.isWellFormed({ namespace, key })
      ? Effect.flatMap(follower.newest(namespace, key), (pointer) =>
          pointer === undefined ? Effect.undefined : pointer.deleted ? ofDelete(pointer) : resolve(pointer)
        )
      : Effect.undefined

  /** Reads when what is asked for is visible here. */
  const reading =
    <A>(held: (namespace: string, key: string) => Effect.Effect<A, StoreError>) =>
    (namespace: string, key: string, options?: ReadOptions) =>
      Effect.suspend((): Effect.Effect<A, StoreError | NotYetVisible | WriteReplaced | ReadRejected> => {
        const rejected = options === undefined ? undefined : faultOfRead(options)
        if (rejected !== undefined) return Effect.fail(rejected)
        if (options?.atLeast === undefined) return held(namespace, key)
        return Effect.andThen(arrived(options.atLeast, options.withinMillis ?? 2000), held(namespace, key))
      })

  const read = reading((...key) =>
    Effect.map(
      pointed(...key, () => Effect.undefined),
      recordOf
    )
  )

  const seen = reading((...key) =>
    Effect.map(
      pointed(...key, (pointer) => Effect.orElseSucceed(resolve(pointer), () => undefined)),
      Option.fromUndefinedOr
    )
  )

  return LocalRecords.of({ ...Pages.make({ follower, resolve }), read, seen, arrived, newest, version: pointing })
})

/** {@link make} as a layer, with what keeps the index up to the logs. */
export const layer = Layer.effect(LocalRecords, make)

// ---------------------------------------------------------------------------------------------------------------------

/** That the write at a place is the one of the id, and can be read. */
const isWhatItWas = Effect.fnUntraced(function* (
  logs: ReplicaLogs["Service"],
  writeId: WriteId.WriteId
): Effect.fn.Return<void, StoreError | WriteReplaced> {
  const { check, log, seq } = WriteId.place(writeId)
  const chain = yield* logs.chainAt(log, seq)
  // It is here and cannot be read, so nobody can say that a read shows it.
  if (logs.damageAt(log, seq) !== undefined) return yield* damagedWrite(writeId)
  // It is compacted, and what superseded it is held.
  if (Option.isNone(chain)) return
  const held = Chain.check(chain.value)
  if (held !== check) return yield* new WriteReplaced({ writeId, held: WriteId.make(log, seq, held) })
})

const damagedWrite = (writeId: WriteId.WriteId) =>
  Effect.fail(new StoreError({ reason: "corrupt", detail: `the write ${writeId} is damaged here` }))

const isWriteId = Schema.is(WriteId.WriteId)

/**
 * What is asked of a read and cannot be. A place could be made of much that is no id: of entry 0, that everybody holds, or
 * of one that never comes.
 */
export const faultOfRead = ({ atLeast, withinMillis }: ReadOptions): ReadRejected | undefined => {
  if (atLeast !== undefined && !isWriteId(atLeast)) {
    return new ReadRejected({ field: "atLeast", detail: `${Parts.shown(atLeast)} is not the id of a write` })
  }
  if (withinMillis !== undefined && !(typeof withinMillis === "number" && withinMillis >= 0)) {
    return new ReadRejected({
      field: "withinMillis",
      detail: `${Parts.shown(withinMillis)} is not a number of milliseconds`
    })
  }
  return undefined
}

const hiding = ({ from, log, to }: DamagedRange): StoreError => {
  const detail = `entries ${from} to ${to} of ${log} are damaged, and one of them may be the newest write of the key`
  return new StoreError({ reason: "corrupt", detail })
}

/** The write that a pointer leads to, in what its log has there; `erased` when it is gone, and nothing when another is there. */
const writeIn = (
  batch: EntryBatch.EntryBatch | undefined,
  pointer: RecordIndex.Pointer
): Newest | "erased" | undefined => {
  if (batch === undefined) return undefined
  if (Erased.is(batch.bytes, 0)) return "erased"
  const { key, namespace } = pointer
  const stamp = Entry.stampAt(batch.bytes, 0)
  const at = Version.compare(stamp, pointer) === 0 ? Entry.find(batch.bytes, 0, namespace, key) : undefined
  if (at === undefined) return undefined
  const { contentType, kind, value: shared } = Entry.bodyAt(batch.bytes, at)
  const { clock, tie, unprobed } = stamp
  const writeId = WriteId.make(pointer.log, pointer.seq, Chain.check(batch.chain))
  // A copy: the bytes are those of the log, and a caller may do with a value as it likes. A store may hand out a `Buffer`, of
  // which `slice` copies nothing.
  const value = new Uint8Array(shared)
  const write = { namespace, key, writeId, clock, tie, unprobed, deleted: kind === "delete", value }
  return contentType === undefined ? write : { ...write, contentType }
}
