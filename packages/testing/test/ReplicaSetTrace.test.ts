/** Golden traces of a whole replica set: commands in, what happened out, compared as text. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, type QuorumWriter, QuorumPolicy, type ReplicaEvents, ReplicaId, type WriteId } from "@quorum/core"
import { Effect, Exit, Fiber, Result, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync, writeFileSync } from "node:fs"
import { ReplicaSetRig } from "../src/index.ts"

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
    case "Recovered":
      return "may append"
    default:
      return undefined
  }
}

/** Runs one line of a trace, and returns what happened, sorted per replica: the order between replicas is nobody's. */
const makeRunner = Effect.gen(function* () {
  const rig = yield* ReplicaSetRig.make(
    ["a", "b", "c"],
    Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 2, order: "clock" }))
  )
  const running = new Map<string, ReplicaSetRig.Running>()
  const told = new Map<string, Array<string>>()
  const ids = new Map<string, WriteId.WriteId>()
  const of = (id: string) => running.get(id)!

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
          const replica = yield* rig.start(name)
          running.set(name, replica)
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
