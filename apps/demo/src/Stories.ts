/**
 * What the demo tells when all replicas run again: a write that is read back elsewhere, a replica that differs from the
 * others and then does not, a write that misses its quorum and gets its receipt all the same, and a clock that is wrong.
 */
import { Entry, type WriteId } from "@quorum/core"
import { Progress, Text } from "@quorum/server/tools"
import { Clock, Duration, Effect, Option } from "effect"
import type { Answer, Client, Status } from "./Client.ts"
import type { DemoSet, Member } from "./DemoSet.ts"
import * as Compare from "./Compare.ts"
import * as Group from "./Group.ts"
import * as Import from "./Import.ts"
import type * as Report from "./Report.ts"

interface Context {
  readonly set: DemoSet
  readonly client: Client
  readonly state: Import.Import
}

/** By how much the clock of the story is wrong: an hour behind. */
export const shiftMillis = -3_600_000

/**
 * A write that asks for all replicas while one of them stands still: it is not met, and it is not lost. The same write is
 * waited for once the replica goes on.
 */
export const missedQuorum = Effect.fnUntraced(function* (
  { client, set, state }: Context,
  writer: Member,
  stopped: Member
) {
  const { say } = yield* Progress.Progress
  const { n } = set.policy
  yield* say(`Replica ${stopped.id} is stopped for a moment, and a write to ${writer.id} asks for all ${n} replicas`)
  const askedAt = yield* Clock.currentTimeMillis
  const passed = Effect.map(Clock.currentTimeMillis, (now) => now - askedAt)
  const answer = yield* set.whileStopped(stopped, client.write(writer, missed, { w: n }))
  const afterMs = yield* passed
  yield* say(`  ${Import.describe(answer)}, after ${Text.seconds(afterMs)}`)
  if (answer._tag !== "NotMet") {
    return { notMet: null, problems: [`the write that asks for all: ${Import.describe(answer)}`] }
  }
  state.notMet++
  const resumedAfterMs = yield* passed
  const last = yield* resume(client, writer, answer.writeId, n)
  const receipt = last._tag === "Committed" ? last.receipt() : null
  const committedAfterMs = receipt === null ? null : yield* passed
  if (last._tag === "Committed") Import.acknowledge(state, missed, last)
  yield* say(
    `  ${stopped.id} goes on: the same write, ${answer.writeId}, ${receipt === null ? "has no receipt" : "is on all"}`
  )
  const { _tag, ...known } = answer
  const asked = { replica: writer.id, stopped: stopped.id, askedAt: new Date(askedAt).toISOString() }
  const notMet: Report.NotMet = { ...known, ...asked, afterMs, resumedAfterMs, committedAfterMs, receipt }
  return { notMet, problems: [] }
})

/**
 * Two writes to one key, one after the other, the second at a replica whose clock is behind, and which stood still while
 * the first was committed, so that it has not heard of it.
 */
export const wrongClock = Effect.fnUntraced(function* ({ client, set, state }: Context, right: Member, wrong: Member) {
  const { say } = yield* Progress.Progress
  yield* say(`The clock of ${wrong.id} is an hour behind. A key is written at ${right.id}, and then at ${wrong.id}`)
  const earlier = yield* set.whileStopped(wrong, client.write(right, first))
  const between = yield* Clock.currentTimeMillis
  const later = yield* client.write(wrong, second)
  if (earlier._tag !== "Committed" || later._tag !== "Committed") {
    const problems = [earlier, later].map((answer) => `a write by a wrong clock: ${Import.describe(answer)}`)
    return { story: null, problems }
  }
  Import.acknowledge(state, second, later)
  const shown = yield* Effect.forEach(set.members, (member) =>
    Effect.map(
      client.read(member, second.namespace, second.key, { atLeast: later.writeId }),
      (found) => [member.id, found._tag === "Value" ? decoder.decode(found.value) : found._tag] as const
    )
  )
  const isLast = shown.every(([, value]) => value === decoder.decode(second.value))
  yield* say(`  the replicas hold what was written ${isLast ? "last" : "first"}`)
  const held = yield* Effect.option(client.status(wrong))
  const story = {
    replica: wrong.id,
    shiftMs: shiftMillis,
    heldMs: Option.getOrNull(Option.map(held, ({ clockHeldMillis }) => clockHeldMillis)),
    first: written(right, earlier, between),
    second: written(wrong, later, between + shiftMillis),
    shown: Object.fromEntries(shown)
  }
  const problems = isLast
    ? []
    : ["LaterWins: a write is hidden by one that was acknowledged before it, because a clock is wrong"]
  return { story: story satisfies typeof Report.WrongClock.Type, problems }
})

/** A write at one replica, read back at all others at once, by its id: each shows it, or waits until it can. */
export const ownWrites = Effect.fnUntraced(function* ({ client, set, state }: Context, writer: Member) {
  const { say } = yield* Progress.Progress
  const others = set.members.filter((member) => member !== writer)
  yield* say(
    `A key is written at ${writer.id}, and read at ${others.map(({ id }) => id).join(" and ")} by the id of the write`
  )
  const answer = yield* client.write(writer, own)
  if (answer._tag !== "Committed") {
    return { story: null, problems: [`the write that is read back: ${Import.describe(answer)}`] }
  }
  const { writeId } = answer
  Import.acknowledge(state, own, answer)
  const reads = yield* Effect.forEach(
    others,
    (member) =>
      Effect.map(Effect.timed(client.read(member, own.namespace, own.key, { atLeast: writeId })), ([took, found]) => ({
        id: member.id,
        found,
        afterMs: Duration.toMillis(took)
      })),
    { concurrency: "unbounded" }
  )
  const stale = reads.filter(({ found }) => found._tag !== "Value" || found.writeId !== writeId)
  return {
    story: {
      replica: writer.id as string,
      writeId: writeId as string,
      afterMs: Object.fromEntries(reads.map(({ afterMs, id }) => [id, afterMs]))
    } satisfies typeof Report.OwnWrites.Type,
    problems: stale.map(
      ({ found, id }) => `ReadYourWrites: ${id} does not show the write of ${writer.id} (${found._tag})`
    )
  }
})

/** A replica stands still while the others take writes, so that it differs from them; it goes on, and must not any more. */
export const apart = Effect.fnUntraced(function* (context: Context, writer: Member, stopped: Member) {
  const { client, set, state } = context
  const { say } = yield* Progress.Progress
  const writes = Array.from({ length: writtenApart }, (_, i) =>
    Entry.put("quorum-demo-apart", `record-${i}`, `written at ${writer.id} while ${stopped.id} stood still`)
  )
  yield* say(
    `Replica ${stopped.id} stands still for a moment, and ${Text.number(writes.length)} records are written at ${writer.id}`
  )
  const before = yield* Effect.option(client.status(stopped))
  const stoppedAt = yield* Clock.currentTimeMillis
  const passed = Effect.map(Clock.currentTimeMillis, (now) => now - stoppedAt)
  const { answers, meanwhile } = yield* set.whileStopped(
    stopped,
    Effect.all({ answers: writeAll(client, writer, writes), meanwhile: Effect.option(client.status(writer)) })
  )
  const wentOnAfterMs = yield* passed
  answers.forEach((answer, i) => answer._tag === "Committed" && Import.acknowledge(state, writes[i]!, answer))
  const onProgress = () => Effect.void
  const vector = yield* Compare.awaitSameLogs({ set, client, stallMillis: patienceMillis, onProgress })
  const sameAfterMs = Option.isSome(vector) ? yield* passed : null
  yield* say(`  ${stopped.id} goes on: the replicas hold ${sameAfterMs === null ? "different" : "the same"} logs`)
  const failed = answers.find(({ _tag }) => _tag !== "Committed")
  if (failed !== undefined || Option.isNone(before) || Option.isNone(meanwhile)) {
    const why = failed === undefined ? "a replica did not say what it holds" : Import.describe(failed)
    return { story: null, problems: [`the writes while ${stopped.id} stood still: ${why}`] }
  }
  const story = {
    stopped: stopped.id as string,
    writer: writer.id as string,
    stoppedAt: new Date(stoppedAt).toISOString(),
    records: writes.length,
    held: { [stopped.id]: entriesOf(before.value), [writer.id]: entriesOf(meanwhile.value) },
    lag: meanwhile.value.peers.find(({ replica }) => replica === stopped.id)?.lag ?? 0,
    wentOnAfterMs,
    sameAfterMs
  } satisfies typeof Report.Apart.Type
  return { story, problems: [] }
})

/** Waits for the quorum of a write, again and again for a while. */
const resume = (client: Client, member: Member, writeId: WriteId.WriteId, w: number): Effect.Effect<Answer> =>
  client
    .resume(member, writeId, w)
    .pipe(
      Effect.tap(Effect.sleep(pollMillis)),
      Effect.repeat({ until: (answer) => answer._tag === "Committed" }),
      Effect.timeoutOption(patienceMillis),
      Effect.map(Option.getOrElse((): Answer => ({ _tag: "Unknown", detail: "no receipt in time" })))
    )

/** Writes many in one request, each once. */
const writeAll = (client: Client, member: Member, writes: ReadonlyArray<Entry.Write>) => {
  const group = Group.make(writes.map((write, i) => ({ _tag: "Write", number: i + 1, write })))
  return Effect.as(Group.send(client, member, group, { onAsked: () => {}, onAnswers: () => {} }), group.answers)
}

const entriesOf = ({ vector }: Status): number => vector.reduce((sum, { seq }) => sum + seq, 0)

// ---------------------------------------------------------------------------------------------------------------------

const decoder = new TextDecoder()

const missed = Entry.put("quorum-demo", "asks-for-all", '"written while one replica stood still"')
const own = Entry.put("quorum-demo", "read-back", "written at another replica")
const first = Entry.put("quorum-demo", "wrong-clock", "first")
const second = Entry.put("quorum-demo", "wrong-clock", "second")

/** How many records are written while a replica stands still. */
const writtenApart = 1000

const pollMillis = 50
const patienceMillis = 20_000

/** A write of the story, and the time of day at its replica between the two. */
const written = (
  { id }: Member,
  { receipt, writeId }: Extract<Answer, { readonly _tag: "Committed" }>,
  localMillis: number
) => ({
  replica: id as string,
  writeId: writeId as string,
  localTime: new Date(localMillis).toISOString(),
  clock: receipt().clock,
  acked: receipt().acked
})
