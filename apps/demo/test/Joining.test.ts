/**
 * A replica that comes back with an empty disk, and is killed again and again while it fetches everything:
 * `QUORUM_JOIN_KILLS=100 QUORUM_JOIN_RECORDS=1000000 vitest run test/Joining.test.ts` is the long form.
 */
import { createHash } from "node:crypto"
import { mkdirSync, rmSync } from "node:fs"
import { createInterface } from "node:readline"
import { Readable } from "node:stream"
import type { ReadableStream } from "node:stream/web"
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

/** What is written first. */
const firstOf = (i: number): string => `${i}`.padEnd(128, "x")

/** Writes records, many at a time. */
const fill = (url: string) =>
  Effect.promise(async () => {
    for (let from = 0; from < records; from += linesAtOnce) {
      const count = Math.min(linesAtOnce, records - from)
      const lines = Array.from({ length: count }, (_, i) =>
        JSON.stringify({ namespace: "notes", key: keyOf(from + i), text: firstOf(from + i) })
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

/** What a replica exports: how many lines, a hash of all, and the lines to `each`. */
const exported = (url: string, each: (line: string) => void = () => undefined) =>
  Effect.promise(async () => {
    const answer = await fetch(`${url}/v1/records/notes`, { headers: { accept: "application/x-ndjson" } })
    const hash = createHash("sha256")
    let lines = 0
    for await (const line of createInterface({ input: Readable.fromWeb(answer.body as ReadableStream) })) {
      hash.update(`${line}\n`)
      each(line)
      lines++
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
        const acknowledged = new Map<string, string>()
        let underWay: string | undefined
        const writer = yield* Effect.forkScoped(
          Effect.forever(
            Effect.gen(function* () {
              const key = written % 2 === 0 ? keyOf(Math.floor(Math.random() * records)) : `new-${written}`
              underWay = key
              assert.strictEqual(yield* set.put("a", key, `${written}`), 201)
              acknowledged.set(key, `${written}`)
              underWay = undefined
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
        // What was acknowledged last of each key, but of the one whose write was not answered any more.
        const missing = new Map(Array.from({ length: records }, (_, i) => [keyOf(i), firstOf(i)]))
        for (const [key, value] of acknowledged) missing.set(key, value)
        const others: Array<string> = []
        const a = yield* exported(set.urls.a, (line) => {
          const { key, value } = JSON.parse(line)
          if (missing.get(key) !== Buffer.from(value, "base64").toString() && key !== underWay) others.push(line)
          missing.delete(key)
        })
        assert.deepStrictEqual([others, Array.from(missing.keys())], [[], []])
        assert.deepStrictEqual(yield* Effect.all([exported(set.urls.b), exported(set.urls.c)]), [a, a])
      }),
    120_000 + kills * 10_000 + records / 5
  )
})

/** Tries every 50 ms until it holds. */
const until = <A>(look: Effect.Effect<A>, holds: (found: A) => boolean): Effect.Effect<A> =>
  Effect.repeat(Effect.tap(look, Effect.sleep(50)), { until: holds })
