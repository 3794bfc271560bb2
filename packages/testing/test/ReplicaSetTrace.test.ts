/** Golden traces of a whole replica set: commands in, what happened out, compared as text. */
import { assert, describe, it } from "@effect/vitest"
import {
  Entry,
  type QuorumWriter,
  QuorumPolicy,
  type ReplicaEvents,
  ReplicaId,
  ReplicaStatus,
  type WriteId
} from "@quorum/core"
import { ReplicaStore } from "@quorum/core/adapter"
import { Context, Effect, Exit, Fiber, Layer, Option, Random, Result, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync, writeFileSync } from "node:fs"
import { FaultyReplicaStore, ReplicaSetRig } from "../src/index.ts"

/** What of an event is the same in every run: no times, no incarnations, and nothing that a heartbeat may change. */
const shown = (event: ReplicaEvents.ReplicaEvent): string | undefined => {
  const owner = (log: string) => log.slice(0, log.indexOf("@"))
  switch (event._tag) {
    case "CommitsEnded":
      return `${event.outcome}${event.reason === undefined ? "" : ` (${event.reason})`} ${event.writes}`
    case "Appended":
      return `appended ${event.entries} to ${owner(event.log)}`
    case "Acked":
      return `${event.peer} acked ${owner(event.log)}:${event.seq}`
    case "LinkChanged":
      return `${event.peer} is ${event.link}`
    case "Drifted":
      return `${event.peer} drifted on ${owner(event.log)}`
    case "PeerAnswered":
      return event.answer === "late" ? `${event.peer} acked ${event.writes} too late` : undefined
    case "TakenBack":
      return `what ${event.peer} acked counts no more`
    case "Renewed":
      return "writes another log"
    case "VotingBegan":
      return `votes (${event.because})`
    case "CommittedAgain":
      return `committed ${owner(event.log)}:${event.after + 1} to ${event.upTo} again (${event.because})`
    case "Recovered":
      return "may append"
    default:
      return undefined
  }
}

/** What a store holds, as it was: to be put back into the same place, which raises no doubt. */
const copyOf = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  const copy = yield* ReplicaStore.makeMemory(store.identity)
  for (const name of ["starts", "lives", "remembered"]) {
    yield* copy.setNotes({ [name]: Option.getOrElse(yield* store.note(name), () => "") })
  }
  for (const { log } of yield* store.watermarks) {
    yield* copy.append(Option.getOrThrow(yield* store.read(log, 0, 1_000_000)))
  }
  return copy
})

/** Runs one line of a trace, and returns what happened, sorted per replica: the order between replicas is nobody's. */
const makeRunner = Effect.gen(function* () {
  // Who finds out first that a copy differs lies in pauses that are drawn: the same in every run.
  const random = yield* Random.withSeed(Random.Random, "trace")
  const rig = yield* ReplicaSetRig.make(
    ["a", "b", "c"],
    Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 2, order: "clock" }))
  )
  const running = new Map<string, ReplicaSetRig.Running>()
  const told = new Map<string, Array<string>>()
  const ids = new Map<string, WriteId.WriteId>()
  const kept = new Map<string, ReplicaStore.ReplicaStore["Service"]>()
  const disks = new Map(["a", "b", "c"].map((name) => [name, FaultyReplicaStore.faults()]))
  const of = (id: string) => running.get(id)!
  const frozen = new Set<string>()
  const linksWhere = (is: (id: string, peer: string) => boolean) =>
    Array.from(running.values()).flatMap(({ id, links }) =>
      Array.from(disks.keys(), (peer) => ({ links, peer: ReplicaId.make(peer) })).filter(({ peer }) => is(id, peer))
    )
  const isStill = (id: string, peer: string): boolean => frozen.has(id) || frozen.has(peer)
  /** Nothing passes from and to replicas that stand still, also when others start. */
  const standStill = (): void => linksWhere(isStill).forEach(({ links, peer }) => links.partition(peer))

  const settle = <A>(commit: Effect.Effect<A, QuorumWriter.CommitError | QuorumWriter.ResumeError>) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(commit)
      yield* TestClock.adjust(3000)
      return yield* Fiber.await(fiber)
    })

  const commands: Record<string, (...args: ReadonlyArray<string>) => Effect.Effect<string, unknown, Scope.Scope>> = {
    start: (...names) =>
      Effect.gen(function* () {
        for (const name of names) {
          const disk = disks.get(name)!
          const replica = yield* rig.start(name, {
            on: Layer.succeed(Random.Random, random),
            store: (store) => FaultyReplicaStore.make(store, disk)
          })
          running.set(name, replica)
          standStill()
          const events: Array<string> = told.get(name) ?? []
          told.set(name, events)
          replica.events.listen((event) => {
            const line = shown(event)
            if (line !== undefined) events.push(line)
          })
        }
        yield* TestClock.adjust(5000)
        return "started"
      }),
    stop: (name) =>
      Effect.gen(function* () {
        const stopping = yield* Effect.forkChild(of(name!).stop)
        yield* TestClock.adjust(5000)
        yield* Fiber.join(stopping)
        return "stopped"
      }),
    wipe: (name) =>
      Effect.as(
        Effect.sync(() => rig.wipe(name!)),
        "wiped"
      ),
    cut: (from, to) =>
      Effect.as(
        Effect.sync(() => of(from!).links.partition(ReplicaId.make(to!))),
        "cut"
      ),
    heal: (from, to) =>
      Effect.gen(function* () {
        of(from!).links.heal(ReplicaId.make(to!))
        yield* TestClock.adjust(8000)
        return "healed"
      }),
    put: (at, key, name) =>
      Effect.map(settle(of(at!).writer.commit(Entry.put("n", key!, "v"))), (exit) => {
        if (Exit.isSuccess(exit)) {
          ids.set(name ?? key!, exit.value.writeId)
          return `receipt ${exit.value.acked.length >= 2 ? "of a majority" : "of too few"}`
        }
        const failure = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
        const error = failure?._tag === "Fail" ? failure.error : undefined
        if (error?._tag === "QuorumNotMet") ids.set(name ?? key!, error.writeId)
        return error?._tag ?? "a defect"
      }),
    /** The next append of a replica takes so long, or ends in doubt. */
    slow: (name, millis) =>
      Effect.as(
        Effect.sync(() => disks.get(name!)!.inject(FaultyReplicaStore.slowDisk(Number(millis)))),
        "slow"
      ),
    doubt: (name, is) =>
      Effect.as(
        Effect.sync(() => disks.get(name!)!.inject(FaultyReplicaStore.failedFsync(is === "held"))),
        "the next append is in doubt"
      ),
    keep: (name) =>
      Effect.map(copyOf(rig.store(name!)), (copy) => {
        kept.set(name!, copy)
        return "kept"
      }),
    back: (name) =>
      Effect.as(
        Effect.sync(() => rig.replaceStore(name!, kept.get(name!)!)),
        "put back"
      ),
    freeze: (name) =>
      Effect.sync(() => {
        frozen.add(name!)
        standStill()
        return "frozen"
      }),
    thaw: (name) =>
      Effect.gen(function* () {
        frozen.delete(name!)
        const over = linksWhere((id, peer) => (id === name || peer === name) && !isStill(id, peer))
        for (const { links, peer } of over) links.heal(peer)
        yield* TestClock.adjust(15_000)
        return "thawed"
      }),
    get: (at, key) =>
      Effect.map(Effect.result(of(at!).records.read("n", key!)), (read) =>
        Result.match(read, {
          onFailure: ({ _tag }) => _tag,
          onSuccess: (record) => (Option.isSome(record) ? "it is there" : "nothing")
        })
      ),
    recover: (at, ...without) =>
      Effect.gen(function* () {
        const { recover } = Context.get(of(at!).context, ReplicaStatus.ReplicaStatus)
        const said = yield* Effect.result(recover(without.map((name) => ReplicaId.make(name))))
        yield* TestClock.adjust(8000)
        return Result.isSuccess(said) ? "goes on without them" : said.failure._tag
      }),
    resume: (at, key) =>
      Effect.map(settle(of(at!).writer.resume(ids.get(key!)!)), (exit) =>
        Exit.isSuccess(exit) ? "receipt" : "not yet"
      )
  }

  return Effect.fnUntraced(function* (line: string) {
    const [command, ...args] = line.split(" ")
    for (const events of told.values()) events.length = 0
    const outcome = yield* commands[command!]!(...args)
    const lines = Array.from(
      told,
      ([name, events]) => events.length > 0 && `  ${name}: ${[...new Set(events)].sort().join(", ")}`
    )
    return [`  -> ${outcome}`, ...lines.filter((each) => each !== false)]
  })
})

describe("a replica set, as a trace", () => {
  it.effect("tells the stories in testdata/ReplicaSet.txt", () =>
    Effect.gen(function* () {
      const file = new URL("./testdata/ReplicaSet.txt", import.meta.url)
      const golden = readFileSync(file, "utf8")
      const out: Array<string> = []
      let run = yield* makeRunner
      for (const line of golden.split("\n")) {
        if (line.startsWith("  ")) continue
        if (line.startsWith("#")) run = yield* makeRunner
        out.push(line)
        if (line !== "" && !line.startsWith("#")) out.push(...(yield* run(line)))
      }
      if (process.env["QUORUM_WRITE_GOLDEN"] === "1") writeFileSync(file, out.join("\n"))
      else assert.strictEqual(out.join("\n"), golden)
    })
  )
})
