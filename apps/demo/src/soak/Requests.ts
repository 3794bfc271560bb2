/**
 * The requests of a writer of a soak, and what the history has of each: what became known of a write, and what a read found.
 */
import { Entry, StampToken } from "@quorum/core"
import { Effect, Option, Result } from "effect"
import type { Answer, Client, ReadOptions } from "../Client.ts"
import type { DemoSet, Member } from "../DemoSet.ts"
import * as History from "./History.ts"
import * as Random from "./Random.ts"
import type { Load } from "./Workload.ts"

/** Asks the replicas of a set. */
export const make = (
  { client, load, set }: { readonly set: DemoSet; readonly client: Client; readonly load: Load },
  random: Random.Random
) => {
  const { history } = load

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

  /** Writes several keys as one entry. */
  const commitAtomic = Effect.fnUntraced(function* (member: Member, namespace: string, keys: ReadonlyArray<string>) {
    const entry = history.operations.length
    const operations = keys.map((key) =>
      History.begin(history, { kind: "put", key: `${namespace}/${key}`, at: member.id, entry })
    )
    const writes = operations.map(({ id }, i) => Entry.put(namespace, keys[i]!, History.valueOf(id)))
    yield* send(member, operations, client.writeAtomic(member, writes))
    count(operations[0]!)
    return operations
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

  return { commit, commitAtomic, read }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long a stamp may take, in milliseconds. */
const stampMillis = 5000

/** How often a write that missed its quorum is waited for again. */
const patience = 4
