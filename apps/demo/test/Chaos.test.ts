/** Real processes, real files, real SIGKILL. */
import { describe, it } from "@effect/vitest"
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import type { Transport } from "../src/ReplicaConfig.ts"
import * as Storm from "./support/storm.ts"

const minutes = { timeout: 180_000 }

const times = (count: number, round: Storm.Round): ReadonlyArray<Storm.Round> =>
  Array.from({ length: count }, () => round)

const run = (rounds: ReadonlyArray<Storm.Round>, transport: Transport) =>
  Storm.run(rounds, transport).pipe(Effect.scoped, Effect.provide([NodeHttpClient.layerUndici, NodeServices.layer]))

describe("chaos", () => {
  it.live.each(["http", "ws"] as const)(
    "L46 killing any replica at any moment, writes in flight, ten times over, loses no acknowledged write, over %s",
    (transport) => run(times(10, { kill: "one" }), transport),
    minutes
  )

  it.live(
    "killing all replicas in the same moment loses no acknowledged write: what is acked is on disk",
    () => run(times(2, { kill: "all" }), "http"),
    minutes
  )

  it.live(
    "losing a machine, disk and all, loses no acknowledged write: what is acked is on two",
    () => run(times(2, { kill: "one", wipe: true }), "ws"),
    minutes
  )
})
