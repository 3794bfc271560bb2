/**
 * The writers of a soak: overwrites and deletes of a few hot keys that all of them share, keys of their own, and reads
 * that have to see what was written. Only what has a stamp is sent twice: each other request writes something that was
 * never written.
 */
import { Entry, StampToken } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import type { Answer, Client, ReadOptions } from "../Client.ts"
import type { DemoSet, Member } from "../DemoSet.ts"
import * as History from "./History.ts"
import * as Random from "./Random.ts"
import type * as Recovering from "./Recovering.ts"

/** What goes on now, for whoever injects faults, and for whoever watches. */
export interface Load {
  readonly history: History.History
  /** Requests that wait for an answer, by replica, and answers that were taken. */
  readonly inFlight: Map<Member, number>
  readonly answers: Map<Member, number>
  acknowledged: number
  notMet: number
  nothing: number
  unknown: number
  reads: number
  /** The highest acknowledged sequence of each log. */
  readonly acknowledgedUpTo: Map<string, number>
  /** When which replica was seen not to vote. */
  readonly recovering: Array<Recovering.Window>
  /** Whether the writers are to end. */
  isOver: boolean
}

/** Nothing has happened yet. */
export const make = (): Load => ({
  history: History.make(),
  inFlight: new Map(),
  answers: new Map(),
  acknowledged: 0,
  notMet: 0,
  nothing: 0,
  unknown: 0,
  reads: 0,
  acknowledgedUpTo: new Map(),
  recovering: [],
  isOver: false
})

/** The namespaces. */
export const hot = "hot"
export const own = "own"
export const pair = "pair"

/** Runs the writers until the load is over. */
export const run = (options: {
  readonly set: DemoSet
  readonly client: Client
  readonly load: Load
  readonly writers: number
  readonly seed: number
}): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: options.writers }, (_, i) => i),
    (i) => write(options, i, Random.make(options.seed * 1000 + i)),
    { concurrency: "unbounded", discard: true }
  )

// ---------------------------------------------------------------------------------------------------------------------

const hotKeys = 8

/** Pairs of keys of which both are always written by one entry. */
const pairs = 4

/** How long a writer waits before its next request, in milliseconds: 20 on average. */
const thinkMillis = 40

/** How long a stamp may take, in milliseconds. */
const stampMillis = 5000

/** How often a write that missed its quorum is waited for again. */
const patience = 4

/** One writer, until the load is over. */
const write = Effect.fnUntraced(function* (
  { client, set, load }: { readonly set: DemoSet; readonly client: Client; readonly load: Load },
  index: number,
  random: Random.Random
) {
  const { history } = load
  const mine: Array<string> = []
  let made = 0

  /** A replica that runs: mostly its own, so that all replicas are written to. */
  const choose = (): Member | undefined => {
    const alive = set.alive()
    const home = set.members[index % set.members.length]!
    if (alive.length === 0) return undefined
    return alive.includes(home) && random(4) > 0 ? home : Random.pick(random, alive)
  }

  const tracked = <A>(member: Member, request: Effect.Effect<A>): Effect.Effect<A> =>
    Effect.suspend(() => {
      load.inFlight.set(member, (load.inFlight.get(member) ?? 0) + 1)
      return request
    }).pipe(
      Effect.tap(Effect.sync(() => load.answers.set(member, (load.answers.get(member) ?? 0) + 1))),
      Effect.ensuring(Effect.sync(() => load.inFlight.set(member, load.inFlight.get(member)! - 1)))
    )

  /** Sends a write, waits for its quorum again and again, and notes what becomes known of it. */
  const send = Effect.fnUntraced(function* (
    member: Member,
    operations: ReadonlyArray<History.Operation>,
    request: Effect.Effect<Answer>
  ) {
    let answer: Answer = yield* tracked(member, request)
    const isHeld = answer._tag === "NotMet"
    for (let i = 0; i < patience && answer._tag === "NotMet"; i++) {
      load.notMet++
      answer = yield* tracked(member, client.resume(member, answer.writeId))
    }
    if (answer._tag === "Committed") {
      const receipt = answer.receipt()
      for (const operation of operations) History.acknowledge(history, operation, member.id, receipt)
      History.noteAcknowledged(load.acknowledgedUpTo, answer.writeId)
    } else {
      if (answer._tag === "Refused" && answer.isReused === true)
        history.wrong.push(`OnceByKey: ${member.id} took a write that was sent again for another: ${answer.detail}`)
      for (const operation of operations) History.giveUp(operation, answer, isHeld)
    }
  })

  /** Sends a write with a stamp to two replicas, to one after the other or to both at once. */
  const sendTwice = Effect.fnUntraced(function* (member: Member, operation: History.Operation, entry: Entry.Write) {
    const drawn = client.stamp(member, [entry]).pipe(
      Effect.map(([stamp]) => stamp!),
      Effect.timeoutOrElse({
        duration: stampMillis,
        orElse: () => Effect.fail<Answer>({ _tag: "Unavailable", detail: "no stamp was drawn in time" })
      }),
      Effect.result
    )
    const stamp = yield* tracked(member, drawn)
    if (Result.isFailure(stamp)) return History.giveUp(operation, stamp.failure, false)
    operation.drawn = Option.getOrUndefined(StampToken.read(stamp.success))
    const others = set.alive().filter((each) => each !== member)
    const other = others.length === 0 ? member : Random.pick(random, others)
    yield* Effect.forEach(
      [member, other],
      (each) => send(each, [operation], client.write(each, entry, { stamp: stamp.success })),
      { concurrency: 1 + random(2), discard: true }
    )
  })

  const commit = Effect.fnUntraced(function* (member: Member, kind: "put" | "delete", namespace: string, key: string) {
    const operation = History.begin(history, { kind, key: `${namespace}/${key}`, at: member.id })
    const entry =
      kind === "put" ? Entry.put(namespace, key, History.valueOf(operation.id)) : Entry.remove(namespace, key)
    if (random(10) === 0) yield* sendTwice(member, operation, entry)
    else yield* send(member, [operation], client.write(member, entry))
    count(operation)
    return operation
  })

  /** Writes both keys of a pair as one entry. */
  const commitPair = Effect.fnUntraced(function* (member: Member) {
    const entry = history.operations.length
    const keys = halvesOf(random(pairs))
    const operations = keys.map((key) =>
      History.begin(history, { kind: "put", key: `${pair}/${key}`, at: member.id, entry })
    )
    const writes = operations.map(({ id }, i) => Entry.put(pair, keys[i]!, History.valueOf(id)))
    yield* send(member, operations, client.writeAtomic(member, writes))
    count(operations[0]!)
    const other = choose()
    if (operations[0]!.outcome !== "acknowledged" || other === undefined || random(3) > 0) return
    for (const [i, after] of operations.entries()) yield* read(other, pair, keys[i]!, { after })
  })

  const count = ({ outcome }: History.Operation): void => {
    if (outcome === "acknowledged") load.acknowledged++
    else if (outcome === "nothing") load.nothing++
    else load.unknown++
  }

  const read = Effect.fnUntraced(function* (
    member: Member,
    namespace: string,
    key: string,
    asked: Pick<ReadOptions, "consistency"> & { readonly after?: History.Operation }
  ) {
    const { after, ...several } = asked
    const operation = History.begin(history, { kind: "read", key: `${namespace}/${key}`, at: member.id, ...asked })
    const options = after?.writeId === undefined ? several : { atLeast: after.writeId }
    History.found(history, operation, yield* tracked(member, client.read(member, namespace, key, options)))
    load.reads++
  })

  const step = Effect.fnUntraced(function* (member: Member) {
    const chosen = random(100)
    if (chosen < 20) {
      const consistency = chosen < 14 ? "linearizable" : "quorum"
      if (chosen % 4 === 0)
        return yield* read(member, pair, Random.pick(random, halvesOf(random(pairs))), { consistency })
      return yield* read(member, hot, `k${random(hotKeys)}`, { consistency })
    }
    if (chosen < 26) return yield* commitPair(member)
    const isHot = chosen < 60
    const isNew = !isHot && (mine.length === 0 || chosen < 85)
    const key = isHot ? `k${random(hotKeys)}` : isNew ? `${index}-${made++}` : Random.pick(random, mine)
    const namespace = isHot ? hot : own
    const kind = isNew || random(4) > 0 ? "put" : "delete"
    if (isNew) mine.push(key)
    if (mine.length > longestMemory) mine.shift()
    const operation = yield* commit(member, kind, namespace, key)
    // A session: another replica has to show it.
    const other = choose()
    if (operation.outcome === "acknowledged" && other !== undefined && random(3) === 0) {
      yield* read(other, namespace, key, { after: operation })
    }
  })

  while (!load.isOver) {
    const member = choose()
    if (member !== undefined) yield* step(member)
    yield* Effect.sleep(1 + random(thinkMillis))
  }
})

const halvesOf = (index: number): ReadonlyArray<string> => [`p${index}-a`, `p${index}-b`]

/** How many of its own keys a writer knows, to write to again. */
const longestMemory = 20
