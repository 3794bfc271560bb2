/**
 * Imports lines through the client API: many writers at once, spread over the replicas that are alive, and every
 * accepted line followed to its end whatever happens to a replica.
 *
 * Lines with the same key go to the same writer, one after the other, so the last of them in the file wins.
 */
import { createHash } from "node:crypto"
import { type LogId, type Entry, WriteId } from "@quorum/core"
import { RecordKey } from "@quorum/core/adapter"
import type { Lines } from "@quorum/server/tools"
import { type Cause, Clock, Effect, Queue, Semaphore, Stream } from "effect"
import type { Answer, Client } from "./Client.ts"
import type { Cluster, Member } from "./Cluster.ts"
import type { Kill } from "./Report.ts"

/** What was acknowledged for a key: the write, and the SHA-256 of its value. */
export interface Acknowledged {
  readonly writeId: string
  readonly sha256: string
}

/** A line that was not imported, and why. */
export interface LineProblem {
  readonly line: number
  readonly reason: string
}

/** The state of an import, counted as it goes. */
export interface Import {
  lines: number
  accepted: number
  /** Accepted lines that a replica was asked to write. */
  sent: number
  committed: number
  notMet: number
  outcomeUnknown: number
  sentAgain: number
  readonly rejected: Array<LineProblem>
  readonly failed: Array<LineProblem>
  /** The newest acknowledged write of every key. */
  readonly acknowledged: Map<string, Acknowledged>
  /** The last acknowledged write of every log. */
  readonly acknowledgedUpTo: Map<LogId.LogId, number>
  /** The write that was acknowledged last. */
  newest: WriteId.WriteId | undefined
  /** Requests that wait for an answer now, by replica. */
  readonly inFlight: Map<Member, number>
}

/** Nothing imported yet. */
export const make = (): Import => ({
  lines: 0,
  accepted: 0,
  sent: 0,
  committed: 0,
  notMet: 0,
  outcomeUnknown: 0,
  sentAgain: 0,
  rejected: [],
  failed: [],
  acknowledged: new Map(),
  acknowledgedUpTo: new Map(),
  newest: undefined,
  inFlight: new Map()
})

/** How many requests wait for an answer now. */
export const inFlight = (state: Import): number =>
  Array.from(state.inFlight.values()).reduce((sum, count) => sum + count, 0)

/** Notes that a write was acknowledged. */
export const acknowledge = (state: Import, write: Entry.Write, writeId: WriteId.WriteId): void => {
  const { log, seq } = WriteId.place(writeId)
  state.newest = writeId
  state.acknowledgedUpTo.set(log, Math.max(seq, state.acknowledgedUpTo.get(log) ?? 0))
  const sha256 = createHash("sha256").update(write.value).digest("base64")
  state.acknowledged.set(RecordKey.keyOf(write.namespace, write.key), { writeId, sha256 })
}

/** Imports all lines. `onProgress` runs whenever a write was sent or has got its answer, and must be quick. */
export const run = Effect.fnUntraced(function* <E, R>(options: {
  readonly state: Import
  readonly lines: Stream.Stream<Lines.Line, E, R>
  readonly cluster: Cluster
  readonly client: Client
  readonly writers: number
  readonly onProgress: () => void
}) {
  const { client, cluster, onProgress, state } = options
  const bytes = yield* Semaphore.make(maxHeldBytes)
  const queues = yield* Effect.replicateEffect(
    Queue.make<Lines.WriteLine, Cause.Done>({ capacity: heldLines }),
    options.writers
  )

  const tracked = (member: Member, request: Effect.Effect<Answer>): Effect.Effect<Answer> =>
    Effect.suspend(() => {
      state.inFlight.set(member, (state.inFlight.get(member) ?? 0) + 1)
      onProgress()
      return request
    }).pipe(Effect.ensuring(Effect.sync(() => state.inFlight.set(member, state.inFlight.get(member)! - 1))))

  /** Sends a write until it is committed, refused, or out of time. Returns what became of it. */
  const settle = Effect.fnUntraced(function* (writer: Writer, write: Entry.Write) {
    const deadline = (yield* Clock.currentTimeMillis) + patienceMillis
    let answer: Answer = { _tag: "Unreachable", detail: "no replica is alive" }
    let requests = 0
    for (let attempt = 0; ; attempt++) {
      const member = choose(cluster, writer.home + attempt)
      if (attempt > 0) yield* Effect.sleep(pauseMillis(attempt))
      // A clock with milliseconds has to tell what this writer wrote elsewhere before from what it writes now.
      else if (writer.last !== undefined && member !== writer.last) yield* Effect.sleep(2)
      if (member !== undefined) {
        if (requests++ === 0) state.sent++
        else state.sentAgain++
        writer.last = member
        answer = yield* tracked(member, client.write(member, write))
        while (answer._tag === "NotMet" && (yield* Clock.currentTimeMillis) < deadline) {
          state.notMet++
          answer = yield* tracked(member, client.resume(member, answer.writeId))
        }
        if (answer._tag === "Unknown") state.outcomeUnknown++
      }
      if (answer._tag === "Committed" || answer._tag === "Refused") return answer
      if ((yield* Clock.currentTimeMillis) >= deadline) return answer
    }
  })

  const importLine = Effect.fnUntraced(function* (writer: Writer, { number, write }: Lines.WriteLine) {
    const answer = yield* settle(writer, write)
    if (answer._tag === "Committed") {
      state.committed++
      acknowledge(state, write, answer.writeId)
    } else if (answer._tag === "Refused") {
      state.accepted--
      state.rejected.push({ line: number, reason: answer.detail })
    } else {
      state.failed.push({ line: number, reason: describe(answer) })
    }
    yield* bytes.release(sizeOf(write))
    onProgress()
  })

  const deal = Stream.runForEach(options.lines, (line) => {
    state.lines++
    if (line._tag === "Rejected") {
      state.rejected.push({ line: line.number, reason: line.reason })
      return Effect.void
    }
    state.accepted++
    return Effect.andThen(bytes.take(sizeOf(line.write)), Queue.offer(queues[lane(line.write, queues.length)]!, line))
  }).pipe(Effect.ensuring(Effect.forEach(queues, Queue.end, { discard: true })))

  const write = Effect.forEach(
    queues,
    (queue, home) => {
      const writer: Writer = { home, last: undefined }
      return Stream.runForEach(Stream.fromQueue(queue), (line) => importLine(writer, line))
    },
    { concurrency: "unbounded", discard: true }
  )
  yield* Effect.all([deal, write], { concurrency: "unbounded", discard: true })
  state.rejected.sort((a, b) => a.line - b.line)
})

/** Kills a replica and says what was in flight in that moment. */
export const killUnsafe = (state: Import, cluster: Cluster, member: Member): typeof Kill.Type => {
  const here = state.inFlight.get(member) ?? 0
  const kill = { id: member.id, afterWrites: state.committed, inFlight: inFlight(state), inFlightHere: here }
  return { ...kill, pid: cluster.killUnsafe(member) }
}

/** The replica at which the most requests wait. */
export const busiest = (state: Import, cluster: Cluster): Member =>
  cluster
    .alive()
    .reduce((most, next) => ((state.inFlight.get(next) ?? 0) > (state.inFlight.get(most) ?? 0) ? next : most))

/** What an answer means for a person. */
export const describe = (answer: Answer): string => {
  switch (answer._tag) {
    case "Committed":
      return `committed as ${answer.writeId}`
    case "NotMet":
      return `quorum not met (got ${answer.got}, need ${answer.needed}, reason ${answer.reason})`
    case "Unavailable":
      return answer.detail
    case "Refused":
      return `refused: ${answer.detail}`
    case "Unreachable":
      return `no answer: ${answer.detail}`
    case "Unknown":
      return `not known whether it was written: ${answer.detail}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------

interface Writer {
  /** Where in the ring of replicas it looks first. */
  readonly home: number
  /** The replica that it wrote to last. */
  last: Member | undefined
}

/** How long one line may take, with all that is tried for it, in milliseconds. */
const patienceMillis = 30_000

/** Lines and bytes that are read ahead of the writers at most. */
const heldLines = 16
const maxHeldBytes = 32 * 1024 * 1024

const sizeOf = (write: Entry.Write): number => Math.min(maxHeldBytes, write.value.length + write.key.length + 100)

/** 5 ms, then longer, half a second at most. */
const pauseMillis = (attempt: number): number => Math.min(500, 5 * 2 ** (attempt - 1))

/** The first member that is alive, from `start` on around the ring. */
const choose = (cluster: Cluster, start: number): Member | undefined => {
  const { members } = cluster
  const alive = cluster.alive()
  for (let i = 0; i < members.length; i++) {
    const member = members[(start + i) % members.length]!
    if (alive.includes(member)) return member
  }
  return undefined
}

/** The writer of a key: FNV-1a over its UTF-16 units. */
const lane = ({ key, namespace }: Entry.Write, lanes: number): number => {
  let hash = 0x811c9dc5
  const text = RecordKey.keyOf(namespace, key)
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % lanes
}
