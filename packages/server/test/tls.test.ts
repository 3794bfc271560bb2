/** Three `quorum serve` with certificates: written to all the while, as these are renewed and a replica is killed. */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { Agent, request } from "node:https"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Certificates } from "@quorum/testing/node"
import { Effect, Fiber } from "effect"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"

const ids = ["a", "b", "c"] as const
type Id = (typeof ids)[number]

/** What `openssl` says of a certificate, as an allowlist takes it. */
const fingerprintOf = (certificate: string): string =>
  execFileSync("openssl", ["x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"], { encoding: "utf8" })

const setUp = Effect.fnUntraced(function* (transport: "http" | "ws") {
  const folder = yield* Program.folder
  const authority = Certificates.authority(join(folder, "pki"))
  const sign = (id: Id) => authority.sign(id, { names: `URI:quorum://tls/${id},IP:127.0.0.1` })
  const files = { a: sign("a"), b: sign("b"), c: sign("c") }
  const allowlist = join(folder, "allowlist.txt")
  const allowed = new Map<Id, ReadonlyArray<string>>(ids.map((id) => [id, [fingerprintOf(files[id].certificate)]]))
  const list = () => writeFileSync(allowlist, Array.from(allowed.values()).flat().join(""))
  list()
  const ports = yield* Ports.free(3)
  const urls = Object.fromEntries(ids.map((id, i) => [id, `https://127.0.0.1:${ports[i]!}`])) as Record<Id, string>
  const peers = ids.map((id) => `${id}=${urls[id]}`).join(",")
  const start = Effect.fnUntraced(function* (id: Id) {
    const tls = ["--tls-key-file", files[id].key, "--tls-cert-file", files[id].certificate]
    const trust = ["--tls-ca-file", authority.authority, "--tls-allowlist-file", allowlist]
    const own = ["--id", id, "--cluster", "tls", "--peers", peers, "--data", join(folder, id), "--transport", transport]
    const replica = yield* Program.run(["serve", ...own, ...tls, ...trust])
    yield* replica.wrote(urls[id])
    return replica
  })
  const agent = yield* Effect.acquireRelease(
    Effect.sync(() => new Agent({ keepAlive: true, ca: readFileSync(authority.authority) })),
    (agent) => Effect.sync(() => agent.destroy())
  )
  /** Asks a replica, whose certificate has to be signed; status 0 is no answer. */
  const ask = (id: Id, method: string, path: string, body?: string) =>
    Effect.callback<{ readonly status: number; readonly body: string }>((resume) => {
      const asked = request(`${urls[id]}${path}`, { method, agent, timeout: 5000 }, (response) => {
        let text = ""
        response.on("data", (chunk) => (text += String(chunk)))
        response.on("end", () => resume(Effect.succeed({ status: response.statusCode ?? 0, body: text })))
        response.on("error", () => resume(Effect.succeed({ status: 0, body: "" })))
      })
      asked.on("timeout", () => asked.destroy(new Error("no answer")))
      asked.on("error", ({ message }) => resume(Effect.succeed({ status: 0, body: message })))
      asked.end(body)
    })
  const running = new Map<Id, Program.Program>()
  const launch = (id: Id) => Effect.tap(start(id), (replica) => Effect.sync(() => void running.set(id, replica)))
  /** Changes files, and waits until those of the replicas that run have taken them in that it concerns. */
  const change = (concerned: ReadonlyArray<Id>, write: () => void) =>
    Effect.suspend(() => {
      const told = (id: Id) => running.get(id)!.stderr().split("the files of TLS have changed").length
      const before = new Map(concerned.filter((id) => running.has(id)).map((id) => [id, told(id)] as const))
      write()
      return Program.until(() => Array.from(before).every(([id, times]) => !running.has(id) || told(id) > times))
    })
  /** Renews the certificate of a replica, under the same names, and takes the old one off the lists. */
  const renew = Effect.fnUntraced(function* (id: Id) {
    const before = allowed.get(id)!
    // What is not allowed yet counts for nobody, so the list goes first: the certificate is made beside, and then moved.
    const fresh = authority.sign(`${id}-next`, { names: `URI:quorum://tls/${id},IP:127.0.0.1` })
    const print = fingerprintOf(fresh.certificate)
    const allow = (prints: ReadonlyArray<string>) =>
      change(ids, () => {
        allowed.set(id, prints)
        list()
      })
    yield* allow([...before, print])
    yield* change([id], () => {
      writeFileSync(files[id].key, readFileSync(fresh.key))
      writeFileSync(files[id].certificate, readFileSync(fresh.certificate))
    })
    yield* allow([print])
  })
  const kill = (id: Id) =>
    Effect.suspend(() => {
      const replica = running.get(id)!
      running.delete(id)
      return Effect.andThen(replica.signal("SIGKILL"), replica.ended)
    })
  return { ask, kill, renew, start: launch }
})

/** Until all see all. */
const allUp = (ask: (id: Id, method: string, path: string) => Effect.Effect<{ readonly body: string }>) =>
  Effect.forEach(ids, (id) =>
    ask(id, "GET", "/v1/status").pipe(
      Effect.map(({ body }) => (body.startsWith("{") ? (JSON.parse(body) as Status) : undefined)),
      Effect.tap((status) => (isUp(status) ? Effect.void : Effect.sleep(100))),
      Effect.repeat({ until: isUp })
    )
  )

interface Status {
  readonly voting: boolean
  readonly insecure: boolean
  readonly peers: ReadonlyArray<{ readonly link: string; readonly lag: number }>
}
const isUp = (status: Status | undefined): boolean =>
  status?.voting === true && !status.insecure && status.peers.every(({ lag, link }) => link === "up" && lag === 0)

describe("quorum serve with certificates", () => {
  for (const transport of ["ws", "http"] as const) {
    it.live(
      `loses nothing over ${transport} while certificates are renewed, old ones taken away, and a replica killed`,
      () =>
        Effect.gen(function* () {
          const { ask, kill, renew, start } = yield* setUp(transport)
          yield* Effect.all([start("a"), start("b"), start("c")], { concurrency: "unbounded" })
          yield* allUp(ask)

          const kept: Array<string> = []
          let refused = 0
          const writing = yield* Effect.forkChild(
            Effect.gen(function* () {
              for (let i = 0; ; i++) {
                const { status } = yield* ask(ids[i % 2]!, "PUT", `/v1/records/n/k${i}`, `v${i}`)
                if (status === 201) kept.push(String(i))
                else refused++
                yield* Effect.sleep(20)
              }
            })
          )
          yield* renew("a")
          yield* kill("c")
          yield* renew("b")
          yield* start("c")
          yield* renew("c")
          yield* allUp(ask)
          yield* Program.until(() => kept.length > 100)
          yield* Fiber.interrupt(writing)
          yield* allUp(ask)

          assert.isBelow(refused, kept.length / 10)
          for (const id of ids) {
            for (const i of kept) assert.strictEqual((yield* ask(id, "GET", `/v1/records/n/k${i}`)).body, `v${i}`)
          }
          // Whoever shows no certificate is a client, and no peer.
          assert.strictEqual((yield* ask("a", transport === "ws" ? "GET" : "POST", "/peer")).status >= 400, true)
        }),
      120_000
    )
  }
})
