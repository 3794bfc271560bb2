/**
 * The steps of the demo. Each says what it does, and returns what it saw.
 */
import { Entry, type WriteId } from "@quorum/core"
import { Lines, Progress, Text } from "@quorum/server/tools"
import { Clock, Duration, Effect, Option } from "effect"
import type { Certificates } from "./Certificates.ts"
import type { Answer, Client } from "./Client.ts"
import type { DemoSet, Member } from "./DemoSet.ts"
import * as Compare from "./Compare.ts"
import * as Import from "./Import.ts"
import type * as Report from "./Report.ts"
import * as Stories from "./Stories.ts"

/** What is imported, and with how many writers. */
export interface Options {
  readonly input: string
  readonly limit: number | undefined
  readonly writers: number
  /** What the members show each other, and is exchanged on the way; unless given they share a secret. */
  readonly certificates?: Certificates | undefined
}

/** What the steps work on. */
export interface Context {
  readonly set: DemoSet
  readonly client: Client
  readonly state: Import.Import
}

/** Imports all lines, and kills the busiest replica when half of the writes were sent. */
export const importAndKill = Effect.fnUntraced(function* ({ client, set, state, ...options }: Context & Options) {
  const { finish, say, step } = yield* Progress.Progress
  const { members, policy } = set
  const { lines, writes } = yield* Lines.count(options.input, options.limit)
  const writers = Math.max(1, Math.min(options.writers, Math.ceil(writes / rounds)))
  yield* start({ client, set, state }, members)
  yield* say(`${members.length} replicas run: ${members.map(({ id, url }) => `${id} at ${url}`).join(", ")}`)
  yield* say(
    `Importing ${Text.number(lines)} lines, up to ${Text.number(writers)} at once; a write is committed when ` +
      `${policy.w} of ${policy.n} replicas hold it`
  )
  const kills: Array<typeof Report.Kill.Type> = []
  const onProgress = (): void => {
    if (kills.length === 0 && state.sent >= writes / 2 && Import.inFlight(state) > 0) {
      kills.push(Import.killUnsafe(state, set, Import.busiest(state, set)))
    }
  }
  const show = Effect.suspend(() => step("import", state.committed + state.failed.length, writes))
  const watch = Effect.gen(function* () {
    yield* show.pipe(Effect.andThen(Effect.sleep(pollMillis)), Effect.repeat({ until: () => kills.length > 0 }))
    const { afterWrites, id, inFlight, inFlightHere, pid } = kills[0]!
    yield* say(
      `Replica ${id} (process ${pid}) killed with SIGKILL after ${Text.number(afterWrites)} writes, with ` +
        `${inFlight} writes in flight, ${inFlightHere} of them at ${id}; writes go on`
    )
    return yield* show.pipe(Effect.andThen(Effect.sleep(pollMillis)), Effect.forever)
  })
  const startedAt = yield* Clock.currentTimeMillis
  const source = Lines.read(options.input, options.limit)
  yield* Effect.raceFirst(Import.run({ state, set, client, lines: source, writers, onProgress }), watch)
  const importMs = (yield* Clock.currentTimeMillis) - startedAt
  yield* show
  yield* finish
  return { kills, importMs }
})

/** Kills replicas until fewer than W are alive, and writes. */
export const writeWithoutQuorum = Effect.fnUntraced(function* ({ client, set, state }: Context) {
  const { say } = yield* Progress.Progress
  const [survivor, ...others] = set.alive()
  if (survivor === undefined)
    return { kills: [], problems: ["no replica was left after the import"], survivor, answer: undefined, afterMs: 0 }
  const kills = others.slice(set.policy.w - 2).map((member) => Import.killUnsafe(state, set, member))
  yield* say(
    `Replica ${kills.map(({ id }) => id).join(" and ")} killed as well: ${set.alive().length} of ` +
      `${set.policy.n} left, and a write needs ${set.policy.w}`
  )
  const askedAt = yield* Clock.currentTimeMillis
  const answer = yield* client.write(survivor, write)
  const afterMs = (yield* Clock.currentTimeMillis) - askedAt
  yield* say(`A write to ${survivor.id}: ${Import.describe(answer)}, after ${Text.seconds(afterMs)}`)
  const problems: Array<string> = []
  const limit = Duration.toMillis(set.policy.ackTimeout) + marginMillis
  if (afterMs > limit) problems.push(`the write without a quorum took ${afterMs} ms, more than ${limit} ms`)
  if (answer._tag === "NotMet") state.notMet++
  else if (answer._tag !== "Unavailable") problems.push(`the write without a quorum: ${Import.describe(answer)}`)
  return { kills, problems, survivor, answer, afterMs }
})

/** Starts the dead replicas, looks what became of the write that was made without them, and waits until all hold the same. */
export const recover = Effect.fnUntraced(function* ({
  client,
  set,
  shortage,
  state
}: Context & { readonly shortage: Effect.Success<ReturnType<typeof writeWithoutQuorum>> }) {
  const { finish, say, step } = yield* Progress.Progress
  const alive = set.alive()
  const dead = set.members.filter((member) => !alive.includes(member))
  const problems: Array<string> = []
  yield* Effect.forEach(dead, set.gone, { concurrency: "unbounded", discard: true })
  const startedAt = yield* Clock.currentTimeMillis
  const late = dead.at(-1)
  if (late !== undefined) set.shiftClock(late, Stories.shiftMillis)
  yield* say(
    `Starting ${dead.map(({ id }) => id).join(" and ")} again` +
      (late === undefined ? "" : `, ${late.id} with its clock an hour behind`)
  )
  yield* start({ client, set, state }, dead).pipe(
    Effect.catch((error) => Effect.sync(() => void problems.push(error.message)))
  )

  const { answer, survivor } = shortage
  if (answer?._tag === "NotMet" && survivor !== undefined) {
    const resumed = yield* resume(client, survivor, answer.writeId)
    const committed = resumed?._tag === "Committed"
    if (committed) Import.acknowledge(state, write, resumed)
    else problems.push("the write without a quorum was not committed later")
    yield* say(`The same write, ${answer.writeId}, is now ${committed ? "committed" : "still not committed"}`)
  }

  const onProgress = (held: number, total: number) => step("catch-up", held, total)
  const vector = yield* Compare.awaitSameLogs({ set, client, stallMillis, onProgress })
  yield* finish
  const caughtUpMs = Option.isSome(vector) ? (yield* Clock.currentTimeMillis) - startedAt : null
  if (Option.isSome(vector)) problems.push(...Compare.missing(vector.value, state.acknowledgedUpTo))
  else problems.push(`the replicas made no progress for ${stallMillis / 1000} s and hold different logs`)
  if (answer?._tag === "Unavailable" && survivor !== undefined) {
    const found = yield* client.read(survivor, write.namespace, write.key)
    if (found._tag !== "Absent") problems.push("the write of which it was said that nothing was written is there")
  }
  return { caughtUpMs, problems, late }
})

/** Tells the stories of the demo, when all replicas run. */
export const tell = Effect.fnUntraced(function* (
  context: Context,
  late: Member | undefined,
  survivor: Member | undefined
) {
  const nothing = { ownWrites: null, apart: null, notMet: null, wrongClock: null, problems: [] }
  if (late === undefined || survivor === undefined || context.set.alive().length < context.set.policy.n) {
    return nothing
  }
  const own = yield* Stories.ownWrites(context, survivor)
  const apart = yield* Stories.apart(context, survivor, late)
  const missed = yield* Stories.missedQuorum(context, survivor, late)
  const wrong = yield* Stories.wrongClock(context, survivor, late)
  return {
    ownWrites: own.story,
    apart: apart.story,
    notMet: missed.notMet,
    wrongClock: wrong.story,
    problems: [...own.problems, ...apart.problems, ...missed.problems, ...wrong.problems]
  }
})

/** Compares what every replica holds with what was acknowledged, and with each other. */
export const compare = Effect.fnUntraced(function* ({
  caughtUp,
  client,
  set,
  state
}: Context & { readonly caughtUp: boolean }) {
  const { finish, say, step } = yield* Progress.Progress
  const { members } = set
  const startedAt = yield* Clock.currentTimeMillis
  const expected = state.acknowledged.size
  yield* say(`Comparing ${Text.number(expected)} acknowledged keys with all records of every replica`)
  const problems: Array<string> = []
  let read = 0
  const onPage = (records: number) =>
    Effect.suspend(() => step("compare", (read += records), Math.max(read, expected * members.length)))
  const contentOf = (member: Member) =>
    Compare.content(client.records(member), state.acknowledged, onPage).pipe(
      Effect.map((content) => {
        const examples = content.wrong.slice(0, 3).join("; ")
        if (examples !== "")
          problems.push(`replica ${member.id} differs in ${content.wrong.length} places: ${examples}`)
        return { id: member.id, ...content }
      }),
      Effect.catch((error) => Effect.sync(() => void problems.push(error.message)))
    )
  const found = yield* Effect.forEach(members, contentOf, { concurrency: "unbounded" })
  yield* finish
  const contents = found.filter((content) => content !== undefined)
  const same = contents.length === members.length && new Set(contents.map(({ digest }) => digest)).size === 1
  return {
    converged: caughtUp && same && problems.length === 0,
    digests: Object.fromEntries(contents.map(({ digest, id }) => [id, digest])),
    records: Object.fromEntries(contents.map(({ id, records }) => [id, records])),
    compareMs: (yield* Clock.currentTimeMillis) - startedAt,
    problems
  }
})

/** Starts replicas and waits until every replica is connected to every other, for a while at least. */
const start = Effect.fnUntraced(function* ({ client, set }: Context, dead: ReadonlyArray<Member>) {
  yield* Effect.forEach(dead, set.start, { concurrency: "unbounded", discard: true })
  // It is no failure when it takes longer: the writes will show.
  yield* Effect.forEach(set.members, client.status, { concurrency: "unbounded" }).pipe(
    Effect.map((statuses) => statuses.every(({ peers }) => peers.every(({ link }) => link === "up"))),
    Effect.orElseSucceed(() => false),
    Effect.tap(Effect.sleep(pollMillis)),
    Effect.repeat({ until: (connected) => connected }),
    Effect.timeoutOption(connectMillis)
  )
})

/** Waits for the quorum of a write, again and again for a while. */
const resume = (client: Client, member: Member, writeId: WriteId.WriteId): Effect.Effect<Answer | undefined> =>
  client
    .resume(member, writeId)
    .pipe(
      Effect.tap(Effect.sleep(pollMillis)),
      Effect.repeat({ until: (answer) => answer._tag === "Committed" }),
      Effect.timeoutOption(connectMillis),
      Effect.map(Option.getOrUndefined)
    )

// ---------------------------------------------------------------------------------------------------------------------

/** The write that is made without a quorum. */
const write = Entry.put("quorum-demo", "without-a-quorum", '"written while too few replicas were alive"')

/** A short file is sent in so many rounds at least, so that the kill finds writes that are acknowledged and others in flight. */
const rounds = 10

const pollMillis = 50

/** How much longer than the deadline of a write its answer may take. */
const marginMillis = 1500

const connectMillis = 20_000

/** How long the replicas may make no progress in catching up. */
const stallMillis = 30_000
