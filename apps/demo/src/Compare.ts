/**
 * Compares what the replicas hold: their logs by version vector and chain, their records by digest, and every
 * acknowledged write with what is there, by id and by the bytes of its value.
 */
import { createHash, hash } from "node:crypto"
import { HybridLogicalClock, type Records } from "@quorum/core"
import { RecordKey, type Watermark } from "@quorum/core/adapter"
import { Clock, Effect, Option, Stream } from "effect"
import type { Client, Status } from "./Client.ts"
import type { DemoSet, Member } from "./DemoSet.ts"
import type { Acknowledged } from "./Import.ts"

/** What a replica holds, and how it differs from what was acknowledged. */
export interface Content {
  /** SHA-256 of all records in order: namespace, key, write id and value, each with its length. */
  readonly digest: string
  readonly records: number
  /** Acknowledged writes that are not there, or whose record is another write or has other bytes. */
  readonly wrong: ReadonlyArray<string>
}

/** Whether all replicas hold the same logs: the same sequence and the same chain for every log. */
export const sameLogs = (vectors: ReadonlyArray<Watermark.VersionVector>): boolean =>
  new Set(vectors.map(vectorText)).size <= 1

/** The part of a record that is compared. */
export type Compared = Pick<Records.Record, "clock" | "namespace" | "key" | "value" | "writeId">

/**
 * Reads all records of a replica, in order, and compares them with what was acknowledged. `onPage` runs with the number
 * of records that were read since.
 */
export const content = <E, R>(
  records: Stream.Stream<Compared, E, R>,
  acknowledged: ReadonlyMap<string, Acknowledged>,
  onPage: (records: number) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Content, E, R> =>
  Effect.suspend(() => {
    const all = createHash("sha256")
    const absent = new Set(acknowledged.keys())
    const wrong: Array<string> = []
    let count = 0
    let previous: { readonly namespace: string; readonly key: string } | undefined
    const visit = (record: Compared): void => {
      const id = RecordKey.keyOf(record.namespace, record.key)
      const name = `${record.namespace}/${record.key}`
      if (previous !== undefined && RecordKey.compare(previous, record) >= 0) wrong.push(`${name}: out of order`)
      previous = record
      count++
      for (const field of [record.namespace, record.key, record.writeId]) addField(all, Buffer.from(field))
      addField(all, record.value)
      absent.delete(id)
      const expected = acknowledged.get(id)
      if (expected === undefined) return
      // A line that was sent again may be at two places under its one version, of which all replicas show the same one.
      if (expected.writeId !== record.writeId && HybridLogicalClock.compare(expected.clock, record.clock) !== 0) {
        wrong.push(`${name}: ${expected.writeId} was acknowledged, ${record.writeId} is there`)
      } else if (hash("sha256", record.value, "base64") !== expected.sha256) {
        wrong.push(`${name}: the value of ${record.writeId} has other bytes`)
      }
    }
    return Effect.map(
      Stream.runForEachArray(records, (page) => {
        page.forEach(visit)
        return onPage(page.length)
      }),
      (): Content => {
        for (const id of absent) wrong.push(`${id.replace("\u0000", "/")}: it is not there`)
        return { digest: all.digest("hex"), records: count, wrong }
      }
    )
  })

/** The logs of which a replica misses acknowledged writes. */
export const missing = (
  vector: Watermark.VersionVector,
  acknowledgedUpTo: ReadonlyMap<string, number>
): ReadonlyArray<string> => {
  const held = new Map<string, number>(vector.map(({ log, seq }) => [log, seq]))
  return Array.from(acknowledgedUpTo)
    .filter(([log, seq]) => (held.get(log) ?? 0) < seq)
    .map(([log, seq]) => `${log} was acknowledged up to ${seq} and is held up to ${held.get(log) ?? 0}`)
}

/** How far the replicas are from holding the same logs: entries held, of the entries that any of them holds. */
export const distance = (
  vectors: ReadonlyArray<Watermark.VersionVector>
): { readonly held: number; readonly total: number } => {
  const longest = new Map<string, number>()
  let held = 0
  for (const { log, seq } of vectors.flat()) {
    held += seq
    longest.set(log, Math.max(seq, longest.get(log) ?? 0))
  }
  return { held, total: Array.from(longest.values()).reduce((sum, seq) => sum + seq, 0) * vectors.length }
}

/**
 * Waits until all replicas hold the same logs, and returns how far; none when they made no progress for `stallMillis`.
 * A replica that does not answer holds nothing as far as this is concerned.
 */
export const awaitSameLogs = Effect.fnUntraced(function* (options: {
  readonly set: DemoSet
  readonly client: Client
  readonly stallMillis: number
  readonly onProgress: (held: number, total: number) => Effect.Effect<void>
}) {
  const vectorOf = (member: Member) =>
    options.client.status(member).pipe(
      Effect.map(({ vector }: Status): Watermark.VersionVector => vector),
      Effect.orElseSucceed(() => undefined)
    )
  let best = -1
  let progressAt = yield* Clock.currentTimeMillis
  while (true) {
    const answers = yield* Effect.forEach(options.set.members, vectorOf, { concurrency: "unbounded" })
    const vectors = answers.map((vector) => vector ?? [])
    const { held, total } = distance(vectors)
    yield* options.onProgress(held, total)
    if (!answers.includes(undefined) && sameLogs(vectors)) return Option.fromUndefinedOr(vectors[0])
    const now = yield* Clock.currentTimeMillis
    if (held > best) {
      best = held
      progressAt = now
    } else if (now - progressAt > options.stallMillis) return Option.none<Watermark.VersionVector>()
    yield* Effect.sleep(pollMillis)
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const pollMillis = 25

const vectorText = (vector: Watermark.VersionVector): string =>
  vector
    .map(({ chain, log, seq }) => `${log} ${seq} ${chain}`)
    .sort()
    .join("\n")

const addField = (hash: ReturnType<typeof createHash>, bytes: Uint8Array): void => {
  const length = Buffer.allocUnsafe(4)
  length.writeUInt32BE(bytes.length)
  hash.update(length).update(bytes)
}
