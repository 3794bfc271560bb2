/**
 * Damage of real files under a whole replica set: bits, pages and ends of them. Everything is found and mended while nobody
 * does anything, or told at the start.
 *
 * `QUORUM_DAMAGE_ROUNDS=2000 npx -y pnpm@12 --filter @quorum/sqlite exec vitest run test/mending.test.ts` is the long form;
 * `QUORUM_DAMAGE_SEED` begins elsewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaSet } from "@quorum/core"
import { FileDamage } from "@quorum/testing/node"
import { Effect, Layer } from "effect"
import { SqliteStore } from "../src/index.ts"

const rounds = Number(process.env["QUORUM_DAMAGE_ROUNDS"] ?? 24)
const firstSeed = Number(process.env["QUORUM_DAMAGE_SEED"] ?? 1)

const store: FileDamage.Store = {
  layer: (folder, self) =>
    Layer.provide(
      SqliteStore.layer({ folder }),
      Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self, peers: [] })
    ),
  logs: { name: "log.db", beside: ["log.db-wal"] },
  index: { name: "index.db", beside: ["index.db-wal"] }
}

describe("L60 DamageIsLocal: damage of files under a replica set", () => {
  it.live(
    `is found and mended, or told at the start: ${rounds} rounds`,
    () =>
      Effect.gen(function* () {
        const outcome = yield* FileDamage.rounds(store, rounds, firstSeed)
        yield* Effect.log(`${rounds} rounds: ${JSON.stringify(outcome)}`)
        assert.isAbove(outcome.mended + outcome.all, outcome.told)
        assert.isAbove(outcome.index, 0)
      }),
    { timeout: 60_000 + rounds * 5000 }
  )
})
