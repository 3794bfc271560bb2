/**
 * Damage of real files under a whole replica set: bits, pages and ends of them. LMDB would end the process on many of them.
 *
 * `QUORUM_DAMAGE_ROUNDS=2000 npx -y pnpm@12 --filter @quorum/lmdb exec vitest run test/damage.test.ts` is the long form;
 * `QUORUM_DAMAGE_SEED` begins elsewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaSet } from "@quorum/core"
import { FileDamage } from "@quorum/testing/node"
import { Effect, Layer } from "effect"
import { LmdbStore } from "../src/index.ts"

const rounds = Number(process.env["QUORUM_DAMAGE_ROUNDS"] ?? 24)
const firstSeed = Number(process.env["QUORUM_DAMAGE_SEED"] ?? 1)

const store: FileDamage.Store = {
  layer: (folder, self) =>
    Layer.provide(
      LmdbStore.layer({ folder }),
      Layer.succeed(ReplicaSet.ReplicaSet, { cluster: "test", self, peers: [] })
    ),
  logs: { name: "log.mdb", beside: ["log.mdb-lock"] },
  index: { name: "index.mdb", beside: ["index.mdb-lock"] }
}

describe("L60 DamageIsLocal: damage of files of LMDB under a replica set", () => {
  it.live(
    `is found and mended, or told at the start: ${rounds} rounds`,
    () =>
      Effect.gen(function* () {
        const outcome = yield* FileDamage.rounds(store, rounds, firstSeed)
        yield* Effect.log(`${rounds} rounds: ${JSON.stringify(outcome)}`)
        // How many of each there are says what the pages of the file hold, which is never the same.
        assert.isAbove(outcome.mended + outcome.all, 0)
        assert.isAbove(outcome.index, 0)
      }),
    { timeout: 60_000 + rounds * 5000 }
  )
})
