/**
 * A replica that comes back with an empty disk, and is killed again and again while it fetches everything:
 * `QUORUM_JOIN_KILLS=100 QUORUM_JOIN_RECORDS=1000000 vitest run test/Joining.test.ts` is the long form.
 */
import { createHash } from "node:crypto"
import { mkdirSync, rmSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Set from "./support/set.ts"

const kills = Number(process.env["QUORUM_JOIN_KILLS"] ?? 4)
const records = Number(process.env["QUORUM_JOIN_RECORDS"] ?? 20_000)
const linesAtOnce = 2000

const ids = ["a", "b", "c"] as const

interface Status {
  readonly voting: boolean
  readonly vector: ReadonlyArray<{ readonly log: string; readonly seq: number }>
}

const status = (url: string) =>
  Effect.promise(() => fetch(`${url}/v1/status`).then((answer) => answer.json() as Promise<Status>))

const heldBy = ({ vector }: Status): number => vector.reduce((sum, { seq }) => sum + seq, 0)

const keyOf = (i: number): string => `key-${String(i).padStart(9, "0")}`

/** Writes records, many at a time. */
const fill = (url: string) =>
  Effect.promise(async () => {
    for (let from = 0; from < records; from += linesAtOnce) {
      const count = Math.min(linesAtOnce, records - from)
      const lines = Array.from({ length: count }, (_, i) =>
        JSON.stringify({ namespace: "notes", key: keyOf(from + i), text: `${from + i}`.padEnd(128, "x") })
      )
      const headers = { "content-type": "application/x-ndjson" }
      const answer = await fetch(`${url}/v1/batch`, { method: "POST", headers, body: `${lines.join("\n")}\n` })
      const statuses = (await answer.text())
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).status)
      assert.deepStrictEqual([...new globalThis.Set(statuses)], [201])
    }
  })

/** What a replica exports: how many lines, and a hash of all. */
const exported = (url: string) =>
  Effect.promise(async () => {
    const answer = await fetch(`${url}/v1/records/notes`, { headers: { accept: "application/x-ndjson" } })
    const hash = createHash("sha256")
    let lines = 0
    for await (const chunk of answer.body!) {
      hash.update(chunk)
      lines += chunk.reduce((sum, byte) => sum + (byte === 10 ? 1 : 0), 0)
    }
    return { status: answer.status, lines, sha256: hash.digest("hex") }
  })

const wipe = (folder: string): void => {
  rmSync(folder, { recursive: true })
  mkdirSync(folder)
}

describe("a replica that joins with an empty disk", () => {
  it.live(
    `L61 goes on where it was when it is killed, ${kills} times; then it votes, and holds all that was written before and meanwhile`,
    () =>
      Effect.gen(function* () {
        const set = yield* Set.make("real-time")
        yield* Effect.forEach(ids, (id) => set.start(id), { concurrency: "unbounded" })
        yield* until(status(set.urls.a), ({ voting }) => voting)
        yield* fill(set.urls.a)
        yield* set.stop("c")
        wipe(set.folders.c)

        // Somebody writes all the time: new keys, and those that are there.
        let written = 0
        const writer = yield* Effect.forkScoped(
          Effect.forever(
            Effect.gen(function* () {
              const key = written % 2 === 0 ? keyOf(Math.floor(Math.random() * records)) : `new-${written}`
              assert.strictEqual(yield* set.put("a", key, `${written}`), 201)
              written++
            })
          )
        )
        let held = 0
        for (let killed = 0; killed < kills; killed++) {
          yield* set.start("c")
          assert.isAtLeast(heldBy(yield* status(set.urls.c)), held, "what was fetched is fetched again")
          // It has fetched something more, or everything: then once more from the beginning.
          const found = yield* until(status(set.urls.c), (found) => found.voting || heldBy(found) > held)
          if (!found.voting) yield* Effect.sleep(Math.random() * 200)
          const last = yield* status(set.urls.c)
          yield* set.signal("c", "SIGKILL")
          held = last.voting ? 0 : heldBy(last)
          if (last.voting) wipe(set.folders.c)
        }
        yield* set.start("c")
        yield* until(status(set.urls.c), ({ voting }) => voting)
        yield* Fiber.interrupt(writer)
        assert.isAbove(written, 0)
        const wanted = heldBy(yield* status(set.urls.a))
        for (const id of ids) yield* until(status(set.urls[id]), (found) => heldBy(found) >= wanted)
        const [a, b, c] = yield* Effect.all(ids.map((id) => exported(set.urls[id])))
        assert.isAtLeast(a!.lines, records)
        assert.deepStrictEqual([b, c], [a, a])
      }),
    120_000 + kills * 10_000 + records / 5
  )
})

/** Tries every 50 ms until it holds. */
const until = <A>(look: Effect.Effect<A>, holds: (found: A) => boolean): Effect.Effect<A> =>
  Effect.repeat(Effect.tap(look, Effect.sleep(50)), { until: holds })
