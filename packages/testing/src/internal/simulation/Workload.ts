/**
 * Clients that write, delete and read few keys at all replicas, ask again after a failure, and go on elsewhere.
 */
import { Entry, type Receipt, QuorumWriter, Records, type ReplicaId, type WriteId } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import * as CarriedSession from "./CarriedSession.ts"
import { answerFailure, call, commit, type Outcome, patienceMillis, type Way } from "./Calls.ts"
import * as NeverStandsStill from "./checks/NeverStandsStill.ts"
import * as NoPhantomAck from "./checks/NoPhantomAck.ts"
import type { Dice } from "./Dice.ts"
import * as History from "./History.ts"
import type { Operation } from "./History.ts"
import * as PageReads from "./PageReads.ts"
import * as Repeats from "./Repeats.ts"
import type { World } from "./World.ts"

/** How clients behave in a run. */
export interface Options {
  readonly clients: number
  /** What each of them asks. */
  readonly operations: number
  readonly keys: number
  /** The mean time between two operations of a client, in milliseconds. */
  readonly pauseMillis: number
  /** The chance of a read. */
  readonly reads: number
  /** The chance that a write asks for another W than a majority. */
  readonly otherW: number
  /** The chance that a write is stamped first, and how long a stamp may be kept before it is used, in milliseconds. */
  readonly stamps: number
  readonly holdMillis: number
  /** The chance that a write comes after the last one of its client, by its clock. */
  readonly sessions: number
  /** The chance that a key is one of those whose writes wait for nobody. */
  readonly weak: number
  /** The chance that a write is a delete; 0.15 unless given. */
  readonly deletes?: number
  /** How many follow the changes; none unless given. */
  readonly followers?: number
  /** The chance that a client carries its session with all that it asks; none unless given. */
  readonly carried?: number
  /** The chance that a read is of a page; none unless given. */
  readonly pages?: number
  /** The chance that a page is of keys alone, and that the next one is asked for after it; none unless given. */
  readonly listings?: number
  /** The chance that a `quorum` read asks another number of replicas than a majority; none unless given. */
  readonly otherR?: number
  /** The chance that a write has a key that its client invents, by which it is repeated; none unless given. */
  readonly keyed?: number
  /** The chance that a write takes no fiber at its replica; none unless given. */
  readonly unsafe?: number
  /** The chance that a write is followed step by step; none unless given. */
  readonly progress?: number
  /** The chance that a client waits for a write only for some milliseconds, and its replica hears that; none unless given. */
  readonly hasty?: number
  /** The chance that stamps are drawn for many writes at once; none unless given. */
  readonly drawsEach?: number
  /** The chance that a key is used for another write at the same time; none unless given. */
  readonly shared?: number
  /** The chance that the mark of a write is deleted as soon as it is committed; none unless given. */
  readonly forgets?: number
  /** The chance that an entry is of up to four keys more, of either namespace; none is unless given. */
  readonly together?: number
  /** The chance that a key is one of two that are asked for again and again; none is unless given. */
  readonly hot?: number
}

/** A client that asks until it has asked enough. */
export const client = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  number: number,
  options: Options
) {
  const dice = world.dice(`client ${number}`)
  let home = dice.pick(world.members)
  // Dice of their own, so that all else stays as it was.
  const rare = world.dice(`client ${number}, rarely`)
  const habits = habitsOf(options, rare, world.dice(`client ${number}, how`))
  const keysBy = world.dice(`client ${number}, keys`)
  const carried: CarriedSession.Carried = { session: undefined }
  if (rare.chance(options.carried ?? 0)) CarriedSession.begin(carried, number)
  /** The last write that this client knows of. */
  let last: Receipt.Receipt | undefined
  for (let i = 0; i < options.operations; i++) {
    yield* Effect.sleep(dice.wait(options.pauseMillis))
    if (dice.chance(0.1)) home = dice.pick(world.members)
    const drawn = `${dice.chance(options.weak) ? "w" : "k"}${dice.below(options.keys)}`
    const key = keysBy.chance(options.hot ?? 0) ? `${drawn[0]}${hotOf(options, keysBy)}` : drawn
    if (dice.chance(options.reads)) {
      if (rare.chance(options.pages ?? 0)) {
        const isAnswered = yield* PageReads.page(world, history, number, home, key, rare, options, carried)
        if (!isAnswered) home = rare.pick(world.members)
        continue
      }
      const atLeast = dice.chance(0.4) ? last?.writeId : undefined
      const consistency = dice.pick(consistencies)
      const isOther = consistency === "quorum" && options.otherR !== undefined && rare.chance(options.otherR)
      const r = isOther ? 1 + rare.below(world.members.length) : undefined
      const { outcome } = yield* read(world, history, number, home, key, consistency, atLeast, carried, r)
      if (outcome !== "read") home = dice.pick(world.members)
      continue
    }
    const more = keysBy.chance(options.together ?? 0) ? moreOf(options, keysBy) : []
    const { operation, receipt } = yield* write(
      world,
      history,
      number,
      home,
      [key, ...more],
      dice,
      rare,
      options,
      habits,
      last,
      carried
    )
    if (receipt !== undefined) {
      last = receipt
      if (dice.chance(0.06))
        yield* lookAfter(world, history, operation, receipt, dice.pick(world.members), dice.chance(0.5))
      continue
    }
    if (operation.outcome === "QuorumNotMet" && dice.chance(0.6)) {
      yield* resume(world, history, operation, dice.chance(0.7) ? home : dice.pick(world.members))
    }
    home = dice.pick(world.members)
  }
})

/** Keys that are in one entry with another. */
const moreOf = (options: Options, dice: Dice): ReadonlyArray<string> =>
  Array.from({ length: 1 + dice.below(4) }, () => {
    const name = dice.chance(options.weak) ? "w" : "k"
    return `${name}${dice.chance(options.hot ?? 0) ? hotOf(options, dice) : dice.below(options.keys)}`
  })

/** One of the keys that are asked for again and again. */
const hotOf = ({ keys }: Options, dice: Dice): number => dice.below(Math.min(2, keys))

/** Writes or deletes keys in one entry, and waits no longer than a client would. */
const write = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  [key, ...others]: readonly [string, ...ReadonlyArray<string>],
  dice: Dice,
  rare: Dice,
  options: Options,
  habits: Habits,
  last: Receipt.Receipt | undefined,
  carried: CarriedSession.Carried
) {
  const n = world.members.length
  const asked = dice.chance(options.otherW) ? { w: 1 + dice.below(n) } : {}
  const other = `${key[0]}${dice.below(options.keys)}`
  const keys = Array.from(new Set(dice.chance(0.15) ? [key, other, ...others] : [key, ...others]))
  // Of an entry of both namespaces the stricter policy decides.
  const w = asked.w ?? (keys.every(History.isWeak) ? 1 : Math.floor(n / 2) + 1)
  const isStamped = dice.chance(options.stamps)
  const session = !isStamped && last !== undefined && dice.chance(options.sessions) ? last : undefined
  const batch = history.operations.length
  // Nobody says that what only some hold was not written, once they have lost it.
  const isKeyed = !isStamped && w > n / 2 && rare.chance(options.keyed ?? 0)
  const idempotencyKey = isKeyed ? `key${batch}` : undefined
  const isAfterAll = carried.session !== undefined
  const operations = keys.map((each) => {
    const value = dice.chance(options.deletes ?? 0.15) ? undefined : `v${history.operations.length}`
    const after = session?.writeId
    return history.ask(
      { client, kind: "write", at, key: each, value, w, batch, after, session: carried.session, idempotencyKey },
      world.timeline.now()
    )
  })
  const [first, ...rest] = operations.map(writeOf)
  const writes: Entry.Writes = rest.length === 0 ? first! : [first!, ...rest]
  const shown = operations.map(({ key, value }) => `${key} = ${value ?? "nothing"}`).join(" and ")
  const how = isStamped ? ", stamped" : session === undefined ? "" : `, after ${session.writeId}`
  const more = `${isKeyed ? `, as ${idempotencyKey}` : ""}${isAfterAll ? ", in its session" : ""}`
  world.say(`client ${client}`, `writes ${shown} at ${at}, w = ${w}${how}${more}`)
  const inSession = { ...asked, ...(carried.session === undefined ? {} : { session: carried.session.value }) }
  const given = session === undefined ? inSession : { ...inSession, after: session.clock }
  const repeat = Effect.fnUntraced(function* (writes: Entry.Writes, idempotencyKey: string) {
    const keyed = { ...given, idempotencyKey }
    const mine = Repeats.repeated(world, rare, at, writes, keyed, options.holdMillis, habits)
    if (!habits.shares()) return yield* mine
    // One whose namespace has the mark. Of keys of another policy it would be another `w`.
    const another = alsoUsed(world, history, History.markedOf(operations), (others) =>
      Repeats.repeated(world, rare, rare.pick(world.members), others, { ...keyed, w }, options.holdMillis, habits)
    )
    const [outcome] = yield* Effect.all([mine, another], { concurrency: "unbounded" })
    return outcome
  })
  const outcome = isStamped
    ? yield* Repeats.stamped(world, dice, at, writes, inSession, options.holdMillis, habits)
    : idempotencyKey !== undefined
      ? yield* repeat(writes, idempotencyKey)
      : yield* commit(world, at, writes, given, habits.wayOnce(), habits.hasteMillis())
  for (const operation of operations) {
    answer(history, operation, outcome)
    told(world, operation)
  }
  if (idempotencyKey !== undefined && outcome._tag === "Receipt" && habits.forgets()) {
    world.say(`client ${client}`, `deletes the mark of ${idempotencyKey}`)
    yield* commit(
      world,
      rare.pick(world.members),
      Entry.remove(History.marksOf(History.markedOf(operations).namespace), idempotencyKey),
      {}
    )
  }
  yield* CarriedSession.wrote(world, carried, at, operations, outcome)
  return { operation: operations[0]!, receipt: outcome._tag === "Receipt" ? outcome.receipt : undefined }
})

/** Somebody else uses the key of a write for another one. */
const alsoUsed = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  { at, client, idempotencyKey, key, w }: Operation,
  repeat: (writes: Entry.Writes) => Effect.Effect<Outcome>
) {
  const { length } = history.operations
  const asked = { client: client + 1000, kind: "write", at, key, value: `v${length}`, w, batch: length } as const
  const operation = history.ask({ ...asked, idempotencyKey }, world.timeline.now())
  world.say(`client ${asked.client}`, `writes ${key} = ${asked.value}, as ${idempotencyKey} too`)
  answer(history, operation, yield* repeat(writeOf(operation)))
  told(world, operation)
})

/** Takes in what came of a write. */
const answer = (history: History.History, operation: Operation, outcome: Outcome): void => {
  if (outcome._tag === "Silent") return history.answer(operation, "Silent")
  if (outcome._tag === "Failure") return answerFailure(history, operation, outcome.error)
  history.answer(operation, "receipt", { ...countedOf(outcome.receipt), writeId: outcome.receipt.writeId })
}

/** Whom a receipt counts, and how long that took. */
const countedOf = ({ acked }: Receipt.Receipt): Pick<Operation, "acked" | "slowestMillis"> => ({
  acked: acked.map(({ replica }) => replica),
  // The own append may take longer than peers may.
  slowestMillis: Math.max(0, ...acked.map(({ afterMillis, how }) => (how === "self" ? 0 : afterMillis)))
})

const writeOf = ({ key, namespace, value }: Operation): Entry.Write =>
  value === undefined ? Entry.remove(namespace, key) : Entry.put(namespace, key, History.bytesOf(value))

/** Waits again for the quorum of a write that missed it. */
const resume = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  { batch, client, w, writeId }: Operation,
  at: ReplicaId.ReplicaId
) {
  world.say(`client ${client}`, `asks ${at} for ${writeId} again`)
  const outcome = yield* call(world, at, (writer) => writer.resume(writeId!, { w }), 0)
  if (outcome._tag !== "Receipt") return
  const counted = countedOf(outcome.receipt)
  for (const operation of history.operations.filter((each) => each.batch === batch)) {
    history.answer(operation, "receipt", counted)
    told(world, operation)
  }
})

/** Has a committed write reach further, or asks the replicas of today for it. */
const lookAfter = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  { batch, client }: Operation,
  receipt: Receipt.Receipt,
  at: ReplicaId.ReplicaId,
  isUpgrade: boolean
) {
  const { writeId } = receipt
  world.say(`client ${client}`, `${isUpgrade ? "wants all to hold" : "asks all for"} ${writeId}, at ${at}`)
  if (isUpgrade) {
    const outcome = yield* call(world, at, (writer) => writer.upgrade(receipt, "all"), 0)
    if (outcome._tag !== "Receipt") return
    const copies = world.members.length
    for (const operation of history.operations) if (operation.batch === batch) operation.copies = copies
    return
  }
  const verify = Effect.flatMap(QuorumWriter.QuorumWriter, (writer) => writer.verify(receipt))
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, verify), patienceMillis))
  if (Result.isFailure(result) || Option.isNone(result.success)) return
  NoPhantomAck.onVerification(world, result.success.value)
})

/** Reads a key at one replica. */
export const read = Effect.fnUntraced(function* (
  world: World,
  history: History.History,
  client: number,
  at: ReplicaId.ReplicaId,
  key: string,
  consistency: Records.Consistency,
  atLeast: WriteId.WriteId | undefined,
  carried: CarriedSession.Carried = { session: undefined },
  r?: number
) {
  const { session } = carried
  const asked = { client, kind: "read", at, key, w: 0, consistency, r, atLeast, session } as const
  const operation = history.ask(asked, world.timeline.now())
  world.say(
    `client ${client}`,
    `reads ${key} at ${at}, ${consistency}${r === undefined ? "" : ` of ${r}`}${atLeast === undefined ? "" : `, at least ${atLeast}`}`
  )
  const options = {
    consistency,
    ...(r === undefined ? {} : { r }),
    ...(atLeast === undefined ? {} : { atLeast }),
    ...(session === undefined ? {} : { session: session.value })
  }
  const read = Effect.flatMap(Records.Records, (records) => records.newest(History.namespaceOf(key), key, options))
  const result = yield* Effect.result(Effect.timeoutOption(world.at(at, read), patienceMillis))
  if (Result.isFailure(result)) answerFailure(history, operation, result.failure)
  else if (Option.isNone(result.success)) history.answer(operation, "Silent")
  else {
    const newest = result.success.value
    const record = Option.getOrUndefined(Option.filter(newest, ({ deleted }) => !deleted))
    const value = record === undefined ? undefined : History.textOf(record.value)
    history.answer(operation, "read", { value, writeId: record?.writeId })
    NeverStandsStill.onRead(world, world.machine(at), operation)
    yield* CarriedSession.extend(world, carried, at, [operation], (sessions, session) =>
      sessions.afterRead(session, newest)
    )
  }
  CarriedSession.failed(carried, client, operation)
  told(world, operation)
  return operation
})

/** How a client goes about its writes: by dice of their own, where it does so. */
interface Habits extends Repeats.Habits {
  readonly wayOnce: () => Way
  readonly shares: () => boolean
  readonly forgets: () => boolean
}

const habitsOf = (options: Options, rare: Dice, how: Dice): Habits => {
  const does = (chance = 0) => chance > 0 && how.chance(chance)
  const way = (isUnsafe: () => boolean): Way => {
    const isUnsafeElse = isUnsafe()
    return does(options.progress) ? "progress" : isUnsafeElse ? "unsafe" : "commit"
  }
  return {
    way: () => way(() => options.hasty !== undefined && does(options.unsafe)),
    wayOnce: () => way(() => rare.chance(options.unsafe ?? 0)),
    hasteMillis: () => (does(options.hasty) ? how.wait(20) : undefined),
    drawsEach: () => does(options.drawsEach),
    keepsMarks: options.forgets === undefined,
    shares: () => does(options.shared),
    forgets: () => does(options.forgets)
  }
}

const consistencies = ["local", "local", "quorum", "linearizable", "linearizable"] as const

// ---------------------------------------------------------------------------------------------------------------------

const told = (world: World, { client, id, outcome, value, writeId }: Operation): void =>
  world.say(`client ${client}`, `operation ${id}: ${outcome} ${value ?? ""} ${writeId ?? ""}`)
