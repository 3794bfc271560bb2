/**
 * Imports lines through the client API: in groups that travel together, some of them under way at once, spread over the
 * replicas that are alive, and every accepted line followed to its end whatever happens to a replica.
 *
 * Of lines with the same key the last in the file wins: within a group by their stamps, which are drawn in their order, and
 * a group waits for those before it that have a key of its own.
 */
import { hash } from "node:crypto"
import { type LogId, type Entry, WriteId } from "@quorum/core"
import { RecordKey } from "@quorum/core/adapter"
import type { Lines } from "@quorum/server/tools"
import { type Cause, Clock, Effect, Latch, Queue, Stream } from "effect"
import type { Answer, Client } from "./Client.ts"
import type { DemoSet, Member } from "./DemoSet.ts"
import * as Group from "./Group.ts"
import type { Kill } from "./Report.ts"

/** What was acknowledged for a key: the write, its clock, and the SHA-256 of its value. */
export interface Acknowledged extends Pick<Committed, "clock" | "writeId"> {
  readonly sha256: string
}

/** The answer to a write that was acknowledged. */
type Committed = Extract<Answer, { readonly _tag: "Committed" }>

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

/** Notes that a write was acknowledged, and is the newest of its key. */
export const acknowledge = (state: Import, write: Entry.Write, answer: Committed): void => {
  noteAcknowledged(state, answer.writeId)
  noteNewest(state, RecordKey.keyOf(write.namespace, write.key), write, answer)
}

/** Takes in what was written beside: what was acknowledged has to be found as well. Its lines are not counted. */
export const absorb = (state: Import, written: Import): void => {
  state.notMet += written.notMet
  for (const [key, acknowledged] of written.acknowledged) state.acknowledged.set(key, acknowledged)
  for (const { writeId } of written.acknowledged.values()) noteAcknowledged(state, writeId)
}

/** Imports all lines. `onProgress` runs whenever writes were sent or have got their answers, and must be quick. */
export const run = Effect.fnUntraced(function* <E, R>(options: {
  readonly state: Import
  readonly lines: Stream.Stream<Lines.Line, E, R>
  readonly set: DemoSet
  readonly client: Client
  /** How many writes are under way at once, at most. */
  readonly writers: number
  readonly onProgress: () => void
}) {
  const { client, set, onProgress, state } = options
  const groups = Math.min(options.writers, groupsPerReplica * set.members.length)
  const dealer = makeDealer(state, Math.min(maxLines, Math.floor(options.writers / groups)))
  const queue = yield* Queue.make<Dealt, Cause.Done>({ capacity: groups })

  const watching = (member: Member): Group.Watcher => ({
    onAsked: (writes) => {
      state.inFlight.set(member, (state.inFlight.get(member) ?? 0) + writes)
      onProgress()
    },
    onAnswers: (answers) => {
      state.inFlight.set(member, state.inFlight.get(member)! - answers.length)
      for (const answer of answers) note(state, answer)
      onProgress()
    }
  })

  /** Sends a group until each line is committed, refused, or out of time. */
  const settle = Effect.fnUntraced(function* (group: Group.Group, home: number) {
    const deadline = (yield* Clock.currentTimeMillis) + patienceMillis
    let isFirst = true
    for (let attempt = 0; group.open.length > 0; attempt++) {
      if (attempt > 0 && (yield* Clock.currentTimeMillis) >= deadline) return
      if (attempt > 0) yield* Effect.sleep(pauseMillis(attempt))
      const member = choose(set, home + attempt)
      if (member === undefined) continue
      if (isFirst) state.sent += group.open.length
      else state.sentAgain += group.open.length
      isFirst = false
      const watcher = watching(member)
      yield* Group.send(client, member, group, watcher)
      yield* Group.resume(client, member, group, watcher, deadline)
    }
  })

  const deal = Stream.runForEachArray(options.lines, (lines) =>
    Effect.forEach(dealer.add(lines), (group) => Queue.offer(queue, group), { discard: true })
  ).pipe(
    Effect.andThen(Effect.suspend(() => Effect.forEach(dealer.end(), (group) => Queue.offer(queue, group)))),
    Effect.ensuring(Queue.end(queue))
  )

  const write = Effect.forEach(
    Array.from({ length: groups }, (_, home) => home),
    (home) =>
      Stream.runForEach(Stream.fromQueue(queue), (dealt) =>
        Effect.gen(function* () {
          yield* Effect.forEach(dealt.after, (earlier) => earlier.done.await, { discard: true })
          yield* settle(dealt.group, home)
          dealer.settled(dealt)
          onProgress()
        })
      ),
    { concurrency: "unbounded", discard: true }
  )
  yield* Effect.all([deal, write], { concurrency: "unbounded", discard: true })
  state.rejected.sort((a, b) => a.line - b.line)
})

/** Kills a replica and says what was in flight in that moment. */
export const killUnsafe = (state: Import, set: DemoSet, member: Member): typeof Kill.Type => {
  const here = state.inFlight.get(member) ?? 0
  const kill = { id: member.id, afterWrites: state.committed, inFlight: inFlight(state), inFlightHere: here }
  return { ...kill, pid: set.killUnsafe(member) }
}

/** The replica at which the most requests wait. */
export const busiest = (state: Import, set: DemoSet): Member =>
  set.alive().reduce((most, next) => ((state.inFlight.get(next) ?? 0) > (state.inFlight.get(most) ?? 0) ? next : most))

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

/** How many groups are under way at once for each replica: one for which stamps are drawn, and one that is written. */
const groupsPerReplica = 2

/** How many lines a group has at most, and about how many bytes. */
const maxLines = 1000
const maxBytes = 512 * 1024

/** How long one group may take, with all that is tried for it, in milliseconds. */
const patienceMillis = 30_000

/** 5 ms, then longer, half a second at most. */
const pauseMillis = (attempt: number): number => Math.min(500, 5 * 2 ** (attempt - 1))

/** The first member that is alive, from `start` on around the ring. */
const choose = (set: DemoSet, start: number): Member | undefined => {
  const { members } = set
  const alive = set.alive()
  for (let i = 0; i < members.length; i++) {
    const member = members[(start + i) % members.length]!
    if (alive.includes(member)) return member
  }
  return undefined
}

/** Notes an answer as it comes. */
const note = (state: Import, answer: Answer): void => {
  if (answer._tag === "Unknown") state.outcomeUnknown++
  else if (answer._tag === "NotMet") state.notMet++
  else if (answer._tag === "Committed") {
    state.committed++
    noteAcknowledged(state, answer.writeId)
  }
}

const noteAcknowledged = (state: Import, writeId: WriteId.WriteId): void => {
  const { log, seq } = WriteId.place(writeId)
  state.newest = writeId
  state.acknowledgedUpTo.set(log, Math.max(seq, state.acknowledgedUpTo.get(log) ?? 0))
}

const noteNewest = (state: Import, key: string, { value }: Entry.Write, { clock, writeId }: Committed): void =>
  void state.acknowledged.set(key, { writeId, clock, sha256: hash("sha256", value, "base64") })

/** A group, and what has to be settled before it is sent. */
interface Dealt {
  readonly group: Group.Group
  readonly keys: ReadonlyArray<string>
  readonly after: ReadonlySet<Dealt>
  readonly done: Latch.Latch
}

/** Cuts lines into groups, counts them, and remembers which group has a key. */
const makeDealer = (state: Import, maxLines: number) => {
  let lines: Array<Lines.WriteLine> = []
  let bytes = 0
  const newest = new Map<string, Dealt>()

  const cut = (): ReadonlyArray<Dealt> => {
    if (lines.length === 0) return []
    const keys = lines.map(({ write }) => RecordKey.keyOf(write.namespace, write.key))
    const after = new Set(keys.map((key) => newest.get(key)).filter((earlier) => earlier !== undefined))
    const dealt: Dealt = { group: Group.make(lines), keys, after, done: Latch.makeUnsafe(false) }
    for (const key of keys) newest.set(key, dealt)
    lines = []
    bytes = 0
    return [dealt]
  }

  return {
    /** Takes lines in, and returns the groups that are full. */
    add: (more: ReadonlyArray<Lines.Line>): ReadonlyArray<Dealt> =>
      more.flatMap((line) => {
        state.lines++
        if (line._tag === "Rejected") {
          state.rejected.push({ line: line.number, reason: line.reason })
          return []
        }
        state.accepted++
        lines.push(line)
        bytes += line.write.value.length
        return lines.length >= maxLines || bytes >= maxBytes ? cut() : []
      }),
    /** The last group. */
    end: cut,
    /** A group has its answers: of its lines with one key the last that was acknowledged stays. */
    settled: (dealt: Dealt): void => {
      const { answers, lines } = dealt.group
      for (const [i, { number, write }] of lines.entries()) {
        const answer = answers[i]!
        const key = dealt.keys[i]!
        if (newest.get(key) === dealt) newest.delete(key)
        if (answer._tag === "Committed") noteNewest(state, key, write, answer)
        else if (answer._tag === "Refused") {
          state.accepted--
          state.rejected.push({ line: number, reason: answer.detail })
        } else state.failed.push({ line: number, reason: describe(answer) })
      }
      dealt.done.openUnsafe()
    }
  }
}
