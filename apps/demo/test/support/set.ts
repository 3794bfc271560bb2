/** Three replica processes over ws, each with a folder of its own, as an operator has them. */
import { execFile, execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Ports from "../../../../packages/server/test/support/ports.ts"
import { Effect, Exit, Scope } from "effect"
import { parse, type Series } from "../../src/Metrics.ts"
import * as Program from "./program.ts"

const ids = ["a", "b", "c"] as const

/** Which replica. */
export type Id = (typeof ids)[number]

/** How a replica is started, where not as usual. */
export interface Start {
  readonly env?: Readonly<Record<string, string>>
  /** The replicas to which there is a path from it; all unless given. */
  readonly reaches?: ReadonlyArray<Id>
  /** The folder of a second process of its id, which listens elsewhere. */
  readonly second?: string
}

/** Prepares them, by the order of their writes; none runs yet. */
export const make = Effect.fnUntraced(function* (order: "clock" | "real-time") {
  const root = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-operations-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const [elsewhere, nowhere, ...ports] = yield* Ports.free(ids.length + 2)
  const outer = yield* Scope.Scope
  const urls = Object.fromEntries(ids.map((id, i) => [id, `http://127.0.0.1:${ports[i]}`])) as Record<Id, string>
  const folders = Object.fromEntries(ids.map((id) => [id, join(root, id)])) as Record<Id, string>
  const running = new Map<Id, { readonly program: Program.Program; readonly scope: Scope.Closeable }>()
  for (const id of ids) mkdirSync(folders[id])
  const secretFile = join(root, "secret")
  writeFileSync(secretFile, randomBytes(32).toString("hex"), { mode: 0o600 })

  const second = `http://127.0.0.1:${elsewhere}`
  const config = (id: Id, { reaches = ids, second: folder = folders[id] }: Start) =>
    JSON.stringify({
      cluster: "operations",
      id,
      folder,
      port: folder === folders[id] ? Number(new URL(urls[id]).port) : elsewhere,
      members: Object.fromEntries(
        ids.map((to) => [to, to === id || reaches.includes(to) ? urls[to] : `http://127.0.0.1:${nowhere}`])
      ),
      policy: { n: 3, w: 2, ackTimeoutMillis: 2000, order, unavailable: "refuse" },
      transport: "ws",
      proof: { secretFile },
      verbose: true
    })

  const text = (id: Id) => Effect.promise(() => fetch(`${urls[id]}/metrics`).then((answer) => answer.text()))

  return {
    urls,
    folders,
    /** Where a second process listens. */
    second,
    start: Effect.fnUntraced(function* (id: Id, how: Start = {}) {
      const scope = yield* Scope.fork(outer)
      const program = yield* Scope.provide(
        Program.run([config(id, how)], { program: "replica.js", env: how.env ?? {} }),
        scope
      )
      if (how.second === undefined) running.set(id, { program, scope })
      yield* program.wrote(`"ready":"${id}"`)
    }),
    /** Waits until a replica has said something in its log. */
    wrote: (id: Id, text: string) => running.get(id)!.program.wrote(text),
    signal: (id: Id, signal: NodeJS.Signals) => running.get(id)!.program.signal(signal),
    /** Stops it in order. */
    stop: Effect.fnUntraced(function* (id: Id) {
      const { program, scope } = running.get(id)!
      yield* program.signal("SIGTERM")
      yield* program.ended
      yield* Scope.close(scope, Exit.void)
    }),
    /** Writes a value at a replica; the status of the answer. */
    put: (id: Id, key: string, value: string) =>
      Effect.promise(() =>
        fetch(`${urls[id]}/v1/records/notes/${key}`, { method: "PUT", body: value, headers: octets }).then(
          ({ status }) => status
        )
      ),
    /** Waits until the metrics of a replica say something. */
    until: (id: Id, holds: (series: Series) => boolean): Effect.Effect<Series> =>
      Effect.map(text(id), parse).pipe(Effect.tap(Effect.sleep(50)), Effect.repeat({ until: holds }))
  }
})

const octets = { "content-type": "application/octet-stream" }

/** Runs a command as an operator's shell does. */
export const shell = (command: string, env: Readonly<Record<string, string>>) =>
  Effect.callback<{ readonly code: number | string; readonly output: string }>((resume) => {
    execFile("bash", ["-c", command], { env: { ...process.env, ...env } }, (error, stdout, stderr) =>
      resume(Effect.succeed({ code: error === null ? 0 : (error.code ?? 1), output: stdout + stderr }))
    )
  })

/** The environment of a process whose clock is ahead, or behind when below 0, by Debian's `libfaketime`; `undefined` where that is not. */
export const ahead = (seconds: number): Readonly<Record<string, string>> | undefined => {
  const [library] = globSync("/usr/lib/*/faketime/libfaketime.so.1")
  if (library === undefined) return undefined
  return { LD_PRELOAD: library, FAKETIME: `${seconds < 0 ? "" : "+"}${seconds}s`, FAKETIME_DONT_FAKE_MONOTONIC: "1" }
}

/** Puts a small disk of its own under a folder, until the scope closes. Says whether that was possible. */
export const smallDisk = (folder: string, mebibytes: number) =>
  Effect.acquireRelease(
    Effect.sync(() => attempt("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder])),
    (mounted) => Effect.sync(() => void (mounted && attempt("umount", ["-l", folder])))
  )

const attempt = (program: string, args: ReadonlyArray<string>): boolean => {
  try {
    execFileSync(program, args, { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}
