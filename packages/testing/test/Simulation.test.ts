import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumWriter, Records, ReplicaId } from "@quorum/core"
import { Effect, Option } from "effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { Simulation } from "../src/index.ts"
import * as Escapes from "../src/internal/simulation/Escapes.ts"
import * as Shrink from "../src/internal/simulation/Shrink.ts"
import * as Scenario from "../src/internal/simulation/Scenario.ts"

const put = (key: string, value: string) =>
  Effect.flatMap(QuorumWriter.QuorumWriter, (writer) =>
    writer.commit(Entry.put("n", key, new TextEncoder().encode(value)))
  )

const get = (key: string) => Effect.flatMap(Records.Records, (records) => records.read("n", key))

const lawsOf = (scenario: Scenario.Scenario): ReadonlyArray<string> =>
  Scenario.run(scenario).violations.map(({ law }) => law)

/** The first of some seeds of a scenario that breaks a promise. */
const brokenBy = (law: string, scenario: Scenario.Scenario): Scenario.Scenario | undefined => {
  for (let seed = 1; seed <= 60; seed++) if (lawsOf({ ...scenario, seed }).includes(law)) return { ...scenario, seed }
  return undefined
}

/** Clocks that differ, no faults, and clients that write few keys everywhere. */
const byClocks: Scenario.Scenario = {
  seed: 1,
  replicas: 3,
  workload: {
    clients: 6,
    operations: 20,
    keys: 2,
    pauseMillis: 50,
    reads: 0.3,
    otherW: 0,
    stamps: 0,
    holdMillis: 0,
    sessions: 0,
    weak: 0
  },
  nemesis: { kinds: [], everyMillis: 1000, isReckless: false },
  skewMillis: 20_000,
  ackTimeoutMillis: 2000,
  drift: 0,
  order: "real-time",
  orderedBy: "clock"
}

/** A hash of the trace of a seed, in a process of its own that has these flags. */
const tracesWith = async (flags: ReadonlyArray<string>): Promise<string> => {
  const path = fileURLToPath(new URL("support/traces.ts", import.meta.url))
  const args = ["--disable-warning=ExperimentalWarning", ...flags, path, "3"]
  return (await promisify(execFile)(process.execPath, args, { timeout: 80_000 })).stdout
}

const sizeOf = ({ workload }: Scenario.Scenario): number => workload.clients * workload.operations

describe("Simulation", () => {
  it("gives the same trace for the same seed, to the byte", () => {
    for (const seed of [3, 4, 5]) {
      const [first, second] = [1, 2].map(() => Scenario.run(Scenario.draw(seed), true))
      assert.isAbove(first!.trace.length, 300)
      assert.strictEqual(first!.trace.join("\n"), second!.trace.join("\n"))
    }
  })

  it("gives the same trace in processes that compile and hash in other ways", async () => {
    const flags = [
      ["--no-opt", "--hash-seed=1"],
      ["--max-lazy", "--hash-seed=2"]
    ]
    const [first, second] = await Promise.all(flags.map(tracesWith))
    assert.match(first!, /^[0-9a-f]{64}$/)
    assert.strictEqual(second, first)
  })

  it("gives another trace for another seed", () => {
    const [first, second] = [1, 2].map((seed) => Scenario.run({ ...Scenario.draw(3), seed }, true))
    assert.notStrictEqual(first!.trace.join("\n"), second!.trace.join("\n"))
  })

  it("runs a program at the replicas, and checks it when all is mended", () => {
    const outcome = Simulation.run({
      seed: 1,
      program: ({ at, ids }) => at(ids[0]!, put("k", "v")),
      check: ({ at, ids, violated }) =>
        Effect.forEach(
          ids,
          (id) =>
            Effect.map(at(id, get("k")), (record) => Option.isNone(record) && violated("Visible", `not at ${id}`)),
          { discard: true }
        )
    })
    assert.deepStrictEqual(outcome.violations, [])
    assert.isAbove(outcome.virtualMillis, 1000)
  })

  it("calls what fails in a program, or in its check, a violation", () => {
    const failing = Simulation.run({ seed: 1, program: () => Effect.fail("no") })
    assert.deepStrictEqual(
      failing.violations.map(({ law }) => law),
      ["Program"]
    )
    const checking = Simulation.run({ seed: 1, program: () => Effect.void, check: () => Effect.fail("no") })
    assert.deepStrictEqual(
      checking.violations.map(({ law }) => law),
      ["Check"]
    )
  })

  it("calls a program that does not end a violation, after as long as it may take", () => {
    for (const [more, millis] of [
      [{}, 3_600_000],
      [{ endsWithinMillis: 60_000 }, 60_000]
    ] as const) {
      const { violations, virtualMillis } = Simulation.run({
        seed: 1,
        replicas: 1,
        ...more,
        program: () => Effect.never
      })
      assert.lengthOf(violations, 1)
      assert.strictEqual(violations[0]!.law, "Program")
      assert.include(violations[0]!.detail, `has not ended after ${millis} virtual`)
      assert.isBelow(virtualMillis, millis + 10_000)
    }
  })

  it("gives the replicas their time to become equal after a program that took long, too", () => {
    const { violations } = Simulation.run({
      seed: 1,
      program: ({ at, ids }) =>
        Effect.gen(function* () {
          yield* Effect.sleep(150_000)
          // What an application goes on with after the program, for longer than faults take to be settled.
          const busy = Effect.forEach(Array.from({ length: 3000 }), (_, i) => Effect.ignore(put(`k${i}`, "v")))
          yield* Effect.forkDetach(at(ids[0]!, busy))
        })
    })
    assert.deepStrictEqual(violations, [])
  })

  it("refuses what cannot be run, by the option that says it", () => {
    const program = () => Effect.void
    for (const [options, said] of [
      [{ seed: 1.5 }, "seed: a whole number is needed, not 1.5"],
      [{ seed: 1, replicas: 0 }, "replicas: 1 to 11 can be run, not 0"],
      [{ seed: 1, replicas: 12 }, "replicas: 1 to 11 can be run, not 12"],
      [{ seed: 1, faults: ["crush"] }, 'faults: there is no "crush"; see Simulation.faultKinds'],
      [{ seed: 1, faultEveryMillis: 0 }, "faultEveryMillis: more than 0 ms are needed, not 0"],
      [{ seed: 1, endsWithinMillis: Number.NaN }, "endsWithinMillis: more than 0 ms are needed, not NaN"],
      [{ seed: 1, skewMillis: -1 }, "skewMillis: 0 ms or more are needed, not -1"]
    ] as const) {
      assert.throws(() => Simulation.run({ ...options, program } as unknown as Simulation.Options<void>), said)
    }
    assert.deepStrictEqual(Simulation.run({ seed: 1, replicas: 11, program }).violations, [])
  })

  it("names the replica that does one thing after another, so that no time passes", () => {
    const { violations } = Simulation.run({
      seed: 1,
      program: ({ at, ids }) => at(ids[1]!, Effect.forever(Effect.yieldNow))
    })
    assert.deepStrictEqual(
      violations.map(({ detail, law }) => [law, detail.slice(0, 10)]),
      [["NeverStandsStill", "b does one"]]
    )
  })

  it("says that a replica that is down does not answer", () => {
    const outcome = Simulation.run({
      seed: 2,
      faults: ["crash_of_all"],
      faultEveryMillis: 100,
      program: ({ at, ids, violated }) =>
        Effect.gen(function* () {
          let failures = 0
          for (let i = 0; i < 300; i++) {
            const result = yield* Effect.option(at(ids[0]!, Effect.void))
            if (Option.isNone(result)) failures++
            yield* Effect.sleep(10)
          }
          if (failures === 0) violated("Down", "it always answered")
        })
    })
    assert.deepStrictEqual(outcome.violations, [])
    assert.isAbove(outcome.faults.get("crash_of_all") ?? 0, 0)
  })

  it("lets no time, chance or timer of the host into a run, and names the place", () => {
    const uses: Record<string, () => unknown> = {
      "Date.now": () => Date.now(),
      "new Date()": () => new Date(),
      "Date()": () => Date(),
      "performance.now": () => performance.now(),
      "Math.random": () => Math.random(),
      setTimeout: () => setTimeout(() => {}, 1),
      setInterval: () => setInterval(() => {}, 1),
      setImmediate: () => setImmediate(() => {}),
      queueMicrotask: () => queueMicrotask(() => {}),
      "Promise.then": () => Promise.resolve().then(() => {}),
      "crypto.randomUUID": () => crypto.randomUUID(),
      "crypto.getRandomValues": () => crypto.getRandomValues(new Uint8Array(1)),
      "process.nextTick": () => process.nextTick(() => {}),
      "process.hrtime": () => process.hrtime(),
      "process.hrtime.bigint": () => process.hrtime.bigint()
    }
    for (const [used, use] of Object.entries(uses)) {
      const escapes: Array<Escapes.Escape> = []
      assert.throws(() => Escapes.guard(use, (escape) => escapes.push(escape)))
      assert.strictEqual(escapes[0]?.used, used)
      assert.match(escapes[0]?.place ?? "", /Simulation\.test/)
    }
    assert.isNumber(Date.now())
    assert.isNumber(new Date().getTime())
    assert.strictEqual(typeof process.hrtime.bigint(), "bigint")
  })

  it("holds what is promised, whatever fails", () => {
    for (let seed = 1; seed <= 25; seed++) {
      const { violations } = Scenario.run(Scenario.draw(seed))
      assert.deepStrictEqual(violations, [], `seed ${seed}`)
    }
  })

  it("has members away for so long that they are left out, in every run that is to have that", () => {
    const runs = [1, 2, 3, 4].map((seed) => Simulation.runStandard(Simulation.standard(seed, 3, ["away"])))
    for (const { faults } of runs) assert.isAbove(faults.get("left_out") ?? 0, 0)
    for (const { violations } of runs) assert.deepStrictEqual(violations, [])
    assert.include(Simulation.standard(1, 3, ["wipe"]).nemesis.kinds, "wipe")
  })

  it("writes several keys at once, of both namespaces, and some again and again, where it is asked to", () => {
    const drawn = Scenario.draw(1, 3)
    const workload = { ...drawn.workload, keys: 40, weak: 0.5, reads: 0, together: 1, hot: 1 }
    const { operations, violations } = Scenario.run({ ...drawn, workload, nemesis: { ...drawn.nemesis, kinds: [] } })
    assert.deepStrictEqual(violations, [])
    const entries = Map.groupBy(
      operations.filter(({ kind }) => kind === "write"),
      ({ batch }) => batch
    )
    const namespaces = Array.from(entries.values(), (writes) => new Set(writes.map(({ namespace }) => namespace)).size)
    assert.include(namespaces, 2)
    const keys = new Set(operations.filter(({ kind }) => kind === "write").map(({ key }) => key))
    for (const key of ["k0", "k1", "w0", "w1"]) assert.isTrue(keys.has(key), key)
    // The second key of a few is any one, as it always was.
    assert.isBelow(keys.size, 40)
  })

  it("finds that a write is hidden by an older one where only the clocks order them", () => {
    assert.isDefined(brokenBy("LaterWins", byClocks))
  })

  it("finds that what replicas acknowledged is gone with their disks", () => {
    const nemesis = { kinds: ["wipe", "partition"] as const, everyMillis: 300, isReckless: true }
    assert.isDefined(brokenBy("AckedIsDurable", { ...Scenario.draw(1, 3), nemesis }))
  })

  it("makes a run that breaks a promise smaller", () => {
    const found = brokenBy("LaterWins", byClocks)!
    const smaller = Shrink.shrink(found, "LaterWins", Scenario.run, 60)
    assert.isBelow(sizeOf(smaller), sizeOf(found))
    assert.include(lawsOf(smaller), "LaterWins")
  })

  it("calls an escape from a program a violation", () => {
    const { violations } = Simulation.run({ seed: 1, program: () => Effect.sync(() => Math.random()) })
    const { detail } = violations.find(({ law }) => law === "NoEscape")!
    assert.match(detail, /^Math\.random was used, at (?!at ).*Simulation\.test\.ts/)
  })

  it("asks for no replica that there is not", () => {
    const stranger = ReplicaId.make("stranger")
    const { violations } = Simulation.run({ seed: 1, replicas: 3, program: ({ at }) => at(stranger, Effect.void) })
    assert.deepStrictEqual(
      violations.map(({ detail, law }) => [law, detail]),
      [["Program", 'Error: there is no replica "stranger", but a, b, c']]
    )
  })
})
