/** Writers that never stop, and replicas that are killed under them. */
import { assert } from "@effect/vitest"
import { Entry, LogId, WriteId, QuorumPolicy } from "@quorum/core"
import type { Lines } from "@quorum/server/tools"
import * as Ports from "../../../../packages/server/test/support/ports.ts"
import { Effect, FileSystem, Option, Result, Stream } from "effect"
import * as Client from "../../src/Client.ts"
import * as DemoSet from "../../src/DemoSet.ts"
import * as Compare from "../../src/Compare.ts"
import * as Import from "../../src/Import.ts"
import type { Transport } from "../../src/ReplicaConfig.ts"
import { dist, until } from "./program.ts"

/** What happens in one round, at a random moment while writes are in flight. */
export interface Round {
  /** One replica, or all three in the same moment. */
  readonly kill: "one" | "all"
  /** Deletes the files of what was killed: the machine is gone for good, and an empty one takes its place. */
  readonly wipe?: boolean
}

const writers = 32

/** How many writes at most are acknowledged between the end of a round and the kill of the next. */
const longestPause = 120

/**
 * Runs the rounds under load on three replicas, W = 2, and then checks that every acknowledged write is on every
 * replica, byte for byte. `QUORUM_SEED` chooses the same victims and moments again.
 *
 * What is in flight at a kill may have its answer on the way already: the last round comes again until a kill has taken
 * answers along, so that writes of unknown outcome are always among what is checked.
 */
export const run = Effect.fnUntraced(function* (given: ReadonlyArray<Round>, transport: Transport) {
  const rounds = [...given]
  const seed = Number(process.env["QUORUM_SEED"] ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`seed ${seed}; to choose the same victims again: QUORUM_SEED=${seed}`)
  const random = makeRandom(seed)
  const fs = yield* FileSystem.FileSystem
  const set = yield* DemoSet.make({
    script: dist("replica.js"),
    name: "storm",
    folder: yield* fs.makeTempDirectoryScoped(),
    ports: yield* Ports.free(3),
    policy: Result.getOrThrow(QuorumPolicy.majority(3)),
    transport
  })
  const client = yield* Client.make(set.members)
  yield* Effect.forEach(set.members, set.start, { concurrency: "unbounded", discard: true })

  const state = Import.make()
  const kills: Array<ReturnType<typeof Import.killUnsafe>> = []
  let round = 0
  let killAt = 1 + random(longestPause)
  let victims: ReadonlyArray<DemoSet.Member> = []

  const { members } = set
  const choose = ({ kill, wipe }: Round): ReadonlyArray<DemoSet.Member> => {
    if (kill === "all") return members
    // Who has just acknowledged a write is the one whose loss would show that nobody else holds it.
    const newest = LogId.owner(WriteId.place(state.newest!).log)
    return wipe === true ? members.filter(({ id }) => id === newest) : [members[random(members.length)]!]
  }

  // A kill happens in the moment in which a write was sent or acknowledged, never between writes (law L46), and only
  // where writes are in flight (law L48).
  const onProgress = (): void => {
    if (victims.length > 0 || round === rounds.length || state.committed < killAt) return
    const chosen = choose(rounds[round]!)
    if (chosen.some((member) => (state.inFlight.get(member) ?? 0) === 0)) return
    victims = chosen
    kills.push(...chosen.map((member) => Import.killUnsafe(state, set, member)))
  }

  /** A replica that was wiped has to have back what was acknowledged before, or the next loss would be one too many. */
  const refilled = (member: DemoSet.Member, upTo: Import.Import["acknowledgedUpTo"]) =>
    Effect.all([client.status(member), client.isReady(member)]).pipe(
      Effect.map(([{ vector }, isReady]) => isReady && Compare.missing(vector, upTo).length === 0),
      Effect.tap(Effect.sleep(20)),
      Effect.repeat({ until: (complete) => complete }),
      // The comparison at the end says what is missing.
      Effect.timeoutOption(15_000)
    )

  const restarts = Effect.gen(function* () {
    for (; round < rounds.length; round++) {
      yield* until(() => victims.length > 0)
      yield* Effect.forEach(victims, set.gone, { discard: true })
      const { wipe } = rounds[round]!
      if (wipe === true) yield* Effect.forEach(victims, ({ folder }) => fs.remove(folder, { recursive: true }))
      yield* Effect.forEach(victims, set.start, { concurrency: "unbounded", discard: true })
      if (wipe === true) yield* refilled(victims[0]!, new Map(state.acknowledgedUpTo))
      // Often before the restarted replica has caught up.
      killAt = state.committed + 1 + random(longestPause)
      if (round + 1 === rounds.length && state.outcomeUnknown === 0) rounds.push(rounds[round]!)
      victims = []
    }
  })

  // While a replica starts, the others take some more writes and then wait for it, so that the test stays short.
  const ahead = () => victims.length > 0 && state.sent > killAt + longestPause
  const lines = Stream.unfold(1, (number) =>
    Effect.map(
      until(() => !ahead()),
      () => (round === rounds.length ? undefined : ([makeLine(number, seed), number + 1] as const))
    )
  )
  yield* Effect.all([Import.run({ state, lines, set, client, writers, onProgress }), restarts], {
    concurrency: "unbounded",
    discard: true
  })

  assert.strictEqual(
    kills.length,
    rounds.reduce((sum, { kill }) => sum + (kill === "all" ? 3 : 1), 0)
  )
  for (const { inFlightHere } of kills) assert.isAbove(inFlightHere, 0)
  assert.isAbove(state.outcomeUnknown, 0)
  assert.deepStrictEqual(state.failed, [])
  assert.deepStrictEqual(state.rejected, [])
  assert.deepStrictEqual(set.crashes(), [])
  assert.strictEqual(state.committed, state.lines)
  // All keys differ, so every acknowledged write has to be found, by its id.
  assert.strictEqual(state.acknowledged.size, state.committed)

  const vector = yield* Compare.awaitSameLogs({
    set,
    client,
    stallMillis: 60_000,
    onProgress: () => Effect.void
  })
  assert.deepStrictEqual(Compare.missing(Option.getOrThrow(vector), state.acknowledgedUpTo), [])
  // Whoever may lack what it acknowledged shows nothing; all have it by now, and say so soon.
  const ready = Effect.forEach(set.members, client.isReady, { concurrency: "unbounded" })
  yield* Effect.timeout(
    Effect.repeat(Effect.tap(ready, Effect.sleep(50)), { until: (all) => all.every(Boolean) }),
    60_000
  )
  const contents = yield* Effect.forEach(
    set.members,
    (member) => Compare.content(client.records(member), state.acknowledged),
    { concurrency: "unbounded" }
  )
  for (const { wrong } of contents) assert.deepStrictEqual(wrong, [])
  assert.strictEqual(new Set(contents.map(({ digest }) => digest)).size, 1)

  const inFlight = kills.map(({ id, inFlightHere }) => `${id} ${inFlightHere}`).join(", ")
  console.log(
    `${state.committed} acknowledged writes are on all replicas after ${kills.length} kills (victim, writes in flight ` +
      `there: ${inFlight}); ${state.outcomeUnknown} lost their answer, ${state.notMet} missed their quorum at first`
  )
})

// ---------------------------------------------------------------------------------------------------------------------

const makeLine = (number: number, seed: number): Lines.Line => {
  const value = JSON.stringify({ number, seed, text: "x".repeat((number * 7919) % 2000) })
  return { _tag: "Write", number, write: Entry.put(`n${number % 7}`, `k${number}`, value) }
}

/** Numbers from 0 to below `limit`, the same for the same seed: mulberry32. */
const makeRandom = (seed: number) => {
  let state = seed >>> 0
  return (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}
