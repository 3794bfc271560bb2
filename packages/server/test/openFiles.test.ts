/** Which files the process of a replica opens. */
import { readFileSync, readdirSync, readlinkSync } from "node:fs"
import { join, sep } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Set from "./support/set.ts"

/** A file that a process has open, and whether it may write to it. */
interface Open {
  readonly target: string
  readonly isWritten: boolean
}

/** What a process has open now, by Linux. What it closes meanwhile is passed over. */
const openNow = (pid: number): ReadonlyArray<Open> =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`)
      const flags = Number.parseInt(
        /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))![1]!,
        8
      )
      return [{ target, isWritten: (flags & 3) !== 0 }]
    } catch {
      return []
    }
  })

/** Sockets, pipes, and what a kernel has for timers and events are no files. */
const isFile = ({ target }: Open): boolean => target.startsWith("/") && target !== "/dev/null"

// Only Linux tells of every process what it has open.
const onLinux = process.platform === "linux" ? it.live : it.live.skip

describe("the process of a replica", () => {
  for (const store of ["sqlite", "lmdb"] as const) {
    onLinux(
      `has no file open outside its folder but the secret that it was given, and writes to none there, with ${store}`,
      () =>
        Effect.gen(function* () {
          const { folder, secret, start, urls } = yield* Set.make
          const own = join(folder, "a") + sep
          const seen = new Map<string, Open>()
          const replica = yield* start("a", ["--store", store])
          yield* Effect.forkScoped(
            Effect.forever(
              Effect.andThen(
                Effect.sync(() =>
                  openNow(replica.pid)
                    .filter(isFile)
                    .forEach((open) => seen.set(open.target, open))
                ),
                Effect.sleep(1)
              )
            )
          )
          yield* start("b", ["--store", store])
          const c = yield* start("c", ["--store", store])
          yield* Set.ready(Object.values(urls))
          const ask = (path: string, init?: RequestInit) =>
            Effect.promise(() => fetch(urls.a + path, init).then((answer) => answer.arrayBuffer()))
          const lines = Array.from({ length: 2000 }, (_, i) =>
            JSON.stringify({ namespace: "n", key: `k${i}`, text: "v" })
          )
          for (let round = 0; round < 3; round++) {
            yield* ask("/v1/batch", {
              method: "POST",
              headers: { "content-type": "application/x-ndjson" },
              body: lines.join("\n")
            })
          }
          for (const path of ["/v1/records/n", "/v1/changes?until=now", "/v1/backup", "/docs", "/metrics"])
            yield* ask(path)
          yield* c.signal("SIGKILL")
          yield* ask("/v1/records/n/k", { method: "PUT", body: "after" })
          // What it does by itself, as to read the secret again, it does every second.
          yield* Effect.sleep(1500)
          const files = Array.from(seen.values())
          assert.isTrue(files.some(({ isWritten, target }) => isWritten && target.startsWith(own)))
          const outside = files.filter(({ target }) => !target.startsWith(own))
          assert.deepStrictEqual(
            outside.filter(({ isWritten, target }) => isWritten || target !== secret),
            []
          )
        }),
      90_000
    )
  }
})
