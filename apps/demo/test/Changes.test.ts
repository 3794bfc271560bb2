/** A reader of changes that is killed again and again, while replicas write, and while they are killed too. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { NodeHttpClient, NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Entry, type LogId, QuorumPolicy, WriteId } from "@quorum/core"
import * as Ports from "../../../packages/server/test/support/ports.ts"
import { Effect, Fiber, FileSystem, Random, Result, Stream } from "effect"
import * as Client from "../src/Client.ts"
import * as DemoSet from "../src/DemoSet.ts"
import type { ReplicaFailed } from "../src/ReplicaProcess.ts"
import { dist, until } from "./support/program.ts"

const kills = 100
const reader = fileURLToPath(new URL("./support/feedReader.ts", import.meta.url))

interface Line {
  readonly writeId?: WriteId.WriteId
  readonly position?: string
}

/** What a run of the reader has kept: whole lines up to the last position. Whoever is killed may have a part of a line. */
const kept = (file: string): ReadonlyArray<Line> => {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line)
  return lines.slice(0, lines.findLastIndex(({ position }) => position !== undefined) + 1)
}

/** What readers have seen together, and whether each of them went on where the one before had stopped. */
const makeSeen = () => {
  const ids = new Set<WriteId.WriteId>()
  const ends = new Map<LogId.LogId, number>()
  let position = ""
  return {
    ids,
    position: () => position,
    take: (lines: ReadonlyArray<Line>): void => {
      for (const { position: here, writeId } of lines) {
        if (writeId !== undefined) {
          const { log, seq } = WriteId.place(writeId)
          assert.strictEqual(seq, (ends.get(log) ?? 0) + 1, `${log} goes on where it ended`)
          ends.set(log, seq)
          ids.add(writeId)
        }
        if (here !== undefined) position = here
      }
    }
  }
}

const setUp = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const set = yield* DemoSet.make({
    script: dist("replica.js"),
    name: "changes",
    folder,
    ports: yield* Ports.free(3),
    policy: Result.getOrThrow(QuorumPolicy.majority(3)),
    transport: "ws"
  })
  yield* Effect.forEach(set.members, set.start, { concurrency: "unbounded", discard: true })
  return { set, folder, client: yield* Client.make(set.members) }
})

describe("a reader of changes", () => {
  it.live(
    `L27 that is killed and goes on ${kills} times, at one replica after another, has seen every acknowledged write`,
    () =>
      Effect.gen(function* () {
        const { client, set, folder } = yield* setUp
        const acknowledged = new Set<WriteId.WriteId>()
        const seen = makeSeen()
        let batch = 0
        const writing = Effect.gen(function* () {
          const alive = set.alive()
          const member = alive[batch++ % alive.length]!
          const writes = Array.from({ length: 50 }, (_, i) =>
            Entry.put("n", `${batch}/${i}`, "x".repeat((i * 97) % 900))
          )
          const stamps = yield* Effect.orElseSucceed(client.stamp(member, writes), () => [])
          const stamped = stamps.map((stamp, i) => ({ write: writes[i]!, stamp }))
          yield* Stream.runForEach(client.writeMany(member, stamped), ([, answer]) =>
            Effect.sync(() => void (answer._tag === "Committed" && acknowledged.add(answer.writeId)))
          ).pipe(Effect.ignore)
          yield* Effect.sleep(10)
        })
        const load = yield* Effect.forkScoped(Effect.forever(writing))

        let restart: Fiber.Fiber<void, ReplicaFailed> | undefined
        for (let round = 0; round < kills; round++) {
          const alive = set.alive()
          const file = join(folder, `seen-${round}`)
          const member = alive[round % alive.length]!
          const child = spawn(process.execPath, [reader, `${member.url}/v1/changes?since=${seen.position()}`, file], {
            stdio: ["ignore", "ignore", "inherit"]
          })
          const ended = once(child, "close")
          yield* until(() => kept(file).length > 0 || child.exitCode !== null)
          yield* Effect.sleep(yield* Random.nextIntBetween(0, 30))
          child.kill("SIGKILL")
          const [code, signal] = yield* Effect.promise(() => ended)
          assert.deepStrictEqual([code, signal], [null, "SIGKILL"], `reader ${round} followed until it was killed`)
          seen.take(kept(file))
          if (round % 25 === 10) {
            // One at a time: with two away nothing is written, and readers would wait for it.
            if (restart !== undefined) yield* Fiber.join(restart)
            set.killUnsafe(member)
            restart = yield* Effect.forkScoped(Effect.andThen(set.gone(member), set.start(member)))
          }
        }
        yield* Effect.sync(() => load.interruptUnsafe())
        assert.isAbove(acknowledged.size, kills)

        const [last] = set.alive()
        const rest = Effect.promise(() => fetch(`${last!.url}/v1/changes?until=now&since=${seen.position()}`)).pipe(
          Effect.flatMap((answer) => Effect.promise(() => answer.text())),
          Effect.map((text) => {
            seen.take(
              text
                .split("\n")
                .slice(0, -1)
                .map((line) => JSON.parse(line) as Line)
            )
            return Array.from(acknowledged).filter((id) => !seen.ids.has(id))
          })
        )
        // The last replica may still be fetching what the two others acknowledged.
        yield* Effect.tap(rest, Effect.sleep(100)).pipe(
          Effect.repeat({ until: (missing) => missing.length === 0 }),
          Effect.timeout(60_000)
        )
        console.log(`${acknowledged.size} acknowledged writes, ${seen.ids.size} seen, ${kills} readers killed`)
      }).pipe(Effect.scoped, Effect.provide([NodeHttpClient.layerUndici, NodeServices.layer])),
    400_000
  )
})
