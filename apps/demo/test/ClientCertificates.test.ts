/** Clients that are known by their certificates, over both transports: what they may do, and when they may no more. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { Agent, request } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Replica, ReplicaSet } from "@quorum/core"
import { RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { ClientApiServer, ClientTokens } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { Certificates } from "@quorum/testing/node"
import { WsNode } from "@quorum/ws/node"
import { Context, Effect, Layer, Logger, Schedule } from "effect"
import { HttpServer } from "effect/http"

const serve = { http: HttpNode.serve, ws: WsNode.serve }
const day = 24 * 3600 * 1000

/** As an operator copies it. */
const fingerprintOf = ({ certificate }: Certificates.Files): string =>
  execFileSync("openssl", ["x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"], { encoding: "utf8" })
    .trim()
    .replace(/^.*=/, "")

/** The files of clients, those of a replica, and the list of who may what. */
const files = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "quorum-clients-"))
    const { authority, sign } = Certificates.authority(folder)
    const client = (name: string) => ({ names: `DNS:${name}.example` })
    const past = { from: new Date(Date.now() - 2 * day), to: new Date(Date.now() - day) }
    const clients = {
      reader: sign("reader", client("reader")),
      writer: sign("writer", client("writer")),
      unlisted: sign("unlisted", client("unlisted")),
      expired: sign("expired", { ...client("expired"), ...past }),
      foreign: Certificates.authority(join(folder, "foreign")).sign("foreign", client("foreign"))
    }
    const list = join(folder, "tokens.json")
    const write = (names: ReadonlyArray<keyof typeof clients>) => {
      const tokens = names.map((name) => ({
        name,
        certificate: fingerprintOf(clients[name]),
        role: name === "reader" ? "read" : "write"
      }))
      writeFileSync(list, JSON.stringify(tokens))
    }
    const own = sign("a", { names: "URI:quorum://test/a" })
    const allowlist = join(folder, "allowlist.txt")
    writeFileSync(allowlist, `${fingerprintOf(own)} # the member, and no client`)
    return { folder, clients, list, write, tls: { ...own, authority, allowlist } }
  }),
  ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** The status of an answer, and the port of the connection that it came on. */
const ask = (agent: Agent, port: number, method: "GET" | "PUT", headers: Record<string, string> = {}) =>
  Effect.callback<{ readonly status: number | undefined; readonly by: number | undefined }>((resume) => {
    const path = "/v1/records/n/k"
    request({ host: "127.0.0.1", port, path, method, headers, agent, rejectUnauthorized: false }, (response) => {
      const by = response.socket.localPort
      response.resume().on("end", () => resume(Effect.succeed({ status: response.statusCode, by })))
    })
      .once("error", () => resume(Effect.succeed({ status: undefined, by: undefined })))
      .end(method === "PUT" ? "v" : undefined)
  })

describe("clients with certificates", () => {
  for (const transport of ["http", "ws"] as const) {
    it.live(`may do what their role says while they are on the list, and no others may, ${transport}`, () =>
      Effect.gen(function* () {
        const { clients, list, tls, write } = yield* files
        write(["reader", "writer", "expired", "foreign"])
        const context = yield* Replica.layer().pipe(
          serve[transport]({ port: 0, peers: {}, tls, routes: ClientApiServer.layer }),
          Layer.provide(Layer.provide(ClientTokens.layerFile(list), NodeFileSystem.layer)),
          Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
          Layer.provide(ReplicaSet.layer({ cluster: "test", self: "a", members: ["a"] })),
          Layer.provide(Logger.layer([])),
          Layer.build
        )
        const { address } = Context.get(context, HttpServer.HttpServer)
        assert("port" in address)
        const { port } = address
        const agentOf = (name?: keyof typeof clients) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const shown = name === undefined ? undefined : clients[name]
              const pair = shown && { key: readFileSync(shown.key), cert: readFileSync(shown.certificate) }
              return new Agent({ keepAlive: true, maxSockets: 1, ...pair })
            }),
            (agent) => Effect.sync(() => agent.destroy())
          )
        for (const name of [undefined, "unlisted", "expired", "foreign"] as const) {
          assert.strictEqual((yield* ask(yield* agentOf(name), port, "GET")).status, 401, name)
        }
        const [reader, writer] = [yield* agentOf("reader"), yield* agentOf("writer")]
        assert.strictEqual((yield* ask(reader, port, "PUT")).status, 403)
        const first = yield* ask(writer, port, "PUT")
        assert.strictEqual(first.status, 201)
        assert.strictEqual((yield* ask(reader, port, "GET")).status, 200)
        // What is shown as a token counts, and not the certificate besides.
        assert.strictEqual((yield* ask(reader, port, "GET", { authorization: "Bearer x" })).status, 401)

        // It is on no list of members, and its connection stays all the same.
        yield* Effect.sleep(2500)
        assert.deepStrictEqual(yield* ask(writer, port, "PUT"), first)

        write(["reader"])
        yield* Effect.suspend(() =>
          Effect.flatMap(ask(writer, port, "PUT"), ({ status }) =>
            status === 401 ? Effect.void : Effect.fail(`still answered with ${status}`)
          )
        ).pipe(Effect.retry(Schedule.spaced(200)), Effect.timeout(20_000))
        assert.strictEqual((yield* ask(reader, port, "GET")).status, 200)
      })
    )
  }
})
