import { Entry, QuorumWriter, Records } from "@quorum/core"
import { Simulation } from "../../src/index.ts"
import { Effect, Option } from "effect"

/** Takes a job if nobody has it: reads who does, and writes that this worker does. Two of them may do that at once. */
const take = (job: string, worker: string) =>
  Effect.gen(function* () {
    const records = yield* Records.Records
    const writer = yield* QuorumWriter.QuorumWriter
    if (Option.isSome(yield* records.read("jobs", job))) return false
    yield* writer.commit(Entry.put("jobs", job, worker))
    return true
  })

/** Three workers, each at a replica of its own, take jobs while replicas crash and the network is cut. */
export const queue = (seed: number) =>
  Simulation.run({
    seed,
    replicas: 3,
    faults: ["crash", "partition", "slow_link"],
    program: ({ at, ids, random, violated }) => {
      const done = new Map<string, string>()
      const work = Effect.fnUntraced(function* (worker: (typeof ids)[number]) {
        for (let job = 0; job < 20; job++) {
          yield* Effect.sleep(random(worker).between(0, 200))
          const taken = yield* Effect.orElseSucceed(at(worker, take(`job ${job}`, worker)), () => false)
          if (!taken) continue
          const before = done.get(`job ${job}`)
          if (before !== undefined) violated("EachJobOnce", `${before} and ${worker} both do job ${job}`)
          done.set(`job ${job}`, worker)
        }
      })
      return Effect.forEach(ids, work, { concurrency: "unbounded", discard: true })
    }
  })
