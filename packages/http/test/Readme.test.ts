import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { program } from "./readme/client.ts"
import * as Cluster from "./support/cluster.ts"

const replica = fileURLToPath(new URL("./readme/replica.ts", import.meta.url))

/** Runs the replica of the readme as a process, until the scope closes. */
const run = (self: string, peers: string) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--disable-warning=ExperimentalWarning", replica], {
        env: { ...process.env, SELF: self, PEERS: peers },
        stdio: "ignore"
      })
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const gone = once(child, "exit")
        child.kill("SIGKILL")
        await gone
      })
  )

/** Waits until a replica says that it takes writes, 60 seconds at most. */
const takesWrites = (url: string) =>
  Effect.tryPromise({ try: () => fetch(`${url}/readyz`), catch: () => "it does not listen yet" }).pipe(
    Effect.filterOrFail(
      ({ ok }) => ok,
      () => "it is not ready"
    ),
    Effect.retry(Schedule.spaced(20)),
    Effect.timeout(60_000)
  )

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

describe("the readme", () => {
  it("names every error that an answer may carry", () => {
    const sources = [
      "../src/api/ProblemTable.ts",
      "../src/api/ClientApiServer.ts",
      "../src/api/RequestRules.ts",
      "../src/peer/HttpPeerServer.ts"
    ]
      .map(read)
      .join("\n")
    const codes = new Set(Array.from(sources.matchAll(/"([a-z]+_[a-z_]+|internal)"/g), ([, code]) => code!))
    // A part of an error, and what listeners are told of who was turned away.
    for (const other of ["too_large", "not_the_protocol"]) codes.delete(other)
    for (const code of codes) assert.include(read("../README.md"), `\`${code}\``, code)
    assert.isAtLeast(codes.size, 13)
  })

  it.live("the example of a replica, run three times, takes what the example of a client writes and reads", () =>
    Effect.gen(function* () {
      const urls: Record<string, string> = {}
      for (const self of "abc") urls[self] = `http://127.0.0.1:${yield* Cluster.freePort}`
      const peers = Object.entries(urls).map((peer) => peer.join("="))
      for (const self of "abc") yield* run(self, peers.join(" "))
      for (const url of Object.values(urls)) {
        yield* takesWrites(url)
      }
      assert.strictEqual(yield* program(urls["b"]), "hello")
    })
  )
})
