/** What a member wrote alone is not kept for the sake of a later write that has not come to all. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/cluster.ts"
import { put, remove, rounds, test, valueOf } from "./support/deletes.ts"
import { during } from "./support/time.ts"

const replica = { awayAfter: "1 minute" } as const

/** Over these links nothing is fetched. */
const withoutPulls = (cluster: Effect.Success<ReturnType<typeof Cluster.make>>, ...links: ReadonlyArray<string>) =>
  links.forEach((link) => cluster.faults.set(link, (client) => ({ ...client, pull: () => Effect.never })))

describe("an entry that only a member holds that comes back", () => {
  it.effect("NoResurrection: is not kept for a later write that came late itself, and is not everywhere yet", () =>
    test(
      Effect.gen(function* () {
        const cluster = yield* Cluster.make([..."abcd"], 2)
        const [a, b, c, d] = yield* Effect.forEach([..."abcd"], (id) => cluster.start(id, { replica }))
        yield* TestClock.adjust(1000)
        yield* a!.writer.commit(put("old"))
        yield* TestClock.adjust(20_000)
        for (const one of ["c", "d"]) {
          for (const other of ["a", "b", "c", "d"]) {
            cluster.cut(one, other)
            cluster.cut(other, one)
          }
        }
        yield* during(c!.writer.commit(put("k", "tail"), { w: 1 }), 1000)
        yield* during(c!.stop, 5000)
        const disk = cluster.stores.get("c")!
        cluster.wipe("c")
        for (const other of ["a", "b"]) {
          cluster.join("c", other)
          cluster.join(other, "c")
        }
        const instead = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(20_000)
        yield* during(a!.writer.commit(put("k", "later")), 5000)
        yield* during(b!.writer.commit(remove("k")), 5000)
        yield* TestClock.adjust(90_000)
        for (let i = 0; i < 4; i++) yield* rounds(a!, b!, instead)
        // d is left out, and writes alone what the others have not swept beyond.
        yield* during(d!.writer.commit(put("k", "alone"), { w: 1 }), 1000)
        const log = d!.logs.own
        yield* TestClock.adjust(20_000)
        // What it wrote comes to nobody for a while, and b finishes a round.
        withoutPulls(cluster, "a>d", "b>d", "c>d")
        cluster.heal()
        yield* TestClock.adjust(5000)
        yield* b!.compaction.now
        yield* TestClock.adjust(2000)
        yield* during(instead.stop, 5000)
        cluster.stores.set("c", disk)
        cluster.faults.delete("c>d")
        withoutPulls(cluster, "a>c", "a>b")
        const back = yield* cluster.start("c", { replica })
        yield* TestClock.adjust(10_000)
        assert.isTrue(back.status().voting)
        assert.strictEqual(back.logs.head(log).seq, 1)
        // It holds neither the later write nor the delete.
        assert.strictEqual(a!.logs.head(log).seq, 0)
        assert.isUndefined(yield* valueOf(a!, "k"))
        cluster.faults.clear()
        cluster.heal()
        yield* TestClock.adjust(60_000)
        for (const one of [a!, b!, back, d!]) assert.strictEqual(yield* valueOf(one, "k"), "alone")
      })
    )
  )
})
