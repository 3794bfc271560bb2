/** What is the same over both transports: how peers are found, and what is told of those that do not answer. */
import { createServer, type Server as HttpListener } from "node:http"
import { type AddressInfo, connect as connectTo, createServer as createTcpServer, type Socket } from "node:net"
import { NodeHttpClient, NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Replica, ReplicaId, ReplicaSet } from "@quorum/core"
import { PeerTransport, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { ClientApiServer, HttpPeerTransport } from "@quorum/http"
import { HttpNode } from "@quorum/http/node"
import { Prometheus } from "@quorum/metrics"
import { Greeting } from "@quorum/testing"
import { WsPeerTransport } from "@quorum/ws"
import { WsNode } from "@quorum/ws/node"
import { Context, Effect, Layer, Logger } from "effect"
import { HttpServer } from "effect/http"

const serve = { http: HttpNode.serve, ws: WsNode.serve }
const members = ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b"] })

/** A replica over a transport, alone, with other routes beside those of its peers. */
const replica = Effect.fnUntraced(function* (transport: "http" | "ws", withClients: boolean) {
  const clients = withClients ? ClientApiServer.layer : Layer.empty
  const context = yield* Replica.layer().pipe(
    serve[transport]({
      port: 0,
      insecure: true,
      peers: { b: "http://b.replicas.example:1" },
      hosts: ["A.example"],
      origins: ["https://app.example"],
      routes: Layer.merge(clients, Prometheus.route())
    }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(members),
    Layer.provide(Logger.layer([])),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  return address.port
})

/** The status of the answer to a request that is sent as it is spelled, which no URL parser has been near. */
const statusOf = (port: number, method: string, target: string, headers: ReadonlyArray<string>, host = "localhost") =>
  Effect.callback<number>((resume) => {
    const socket = connectTo(port, "127.0.0.1", () => {
      socket.write([`${method} ${target} HTTP/1.1`, `Host: ${host}`, ...headers, "", ""].join("\r\n"))
    })
    socket.once("data", (data) => {
      socket.destroy()
      resume(Effect.succeed(Number(String(data).split(" ")[1])))
    })
    socket.on("error", (error) => resume(Effect.die(error)))
    return Effect.sync(() => socket.destroy())
  })

/** A request that the peers' route answers in a way of its own: it is no message, or the upgrade is made. */
const call = {
  http: { method: "POST", headers: ["Content-Type: text/plain", "Content-Length: 0"], reached: 415 },
  ws: {
    method: "GET",
    headers: [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    ],
    reached: 101
  }
}

/** Spellings that a router may take for the path, and their statuses beside the client API and without it. */
const spellings = (path: string): ReadonlyArray<readonly [target: string, withClients: number, alone: number]> => [
  [`${path};x`, 400, 404],
  [`${path}#x`, 400, 404],
  [`${path}?x#y`, 400, 400],
  [`/%${path.charCodeAt(1).toString(16)}${path.slice(2)}`, 404, 404],
  [`/${path}`, 404, 404],
  [path.toUpperCase(), 404, 404],
  [`${path}/`, 404, 404],
  [`${path}/.`, 400, 404],
  [`${path}%2F`, 404, 404],
  [`http://localhost${path}`, 404, 404],
  [`HTTP://localhost${path}`, 404, 404],
  [`http://elsewhere:80${path}`, 421, 421],
  [`http://localhost/${path}`, 404, 404],
  [`http://localhost${path}/`, 404, 404],
  [`http://localhost${path};x`, 400, 404],
  [`x:${path}`, 400, 400]
]

describe("the paths of a replica", () => {
  for (const transport of ["http", "ws"] as const) {
    for (const withClients of [true, false]) {
      const beside = withClients ? "beside the client API" : "without a client API"
      it.live(`L64 no other spelling of a path reaches the peers' route or the metrics, ${transport}, ${beside}`, () =>
        Effect.gen(function* () {
          const port = yield* replica(transport, withClients)
          const { headers, method, reached } = call[transport]
          assert.strictEqual(yield* statusOf(port, method, "/peer", headers), reached)
          assert.strictEqual(yield* statusOf(port, "GET", "/metrics", []), 200)
          for (const [target, beside, alone] of spellings("/peer")) {
            const status = yield* statusOf(port, method, target, headers)
            assert.strictEqual(status, withClients ? beside : alone, target)
          }
          for (const [target, beside, alone] of spellings("/metrics")) {
            assert.strictEqual(yield* statusOf(port, "GET", target, []), withClients ? beside : alone, target)
          }
        })
      )

      it.live(`a host by which the replica is not known is refused, on every path, ${transport}, ${beside}`, () =>
        Effect.gen(function* () {
          const port = yield* replica(transport, withClients)
          const { headers, method, reached } = call[transport]
          for (const host of ["localhost", "LOCALHOST:80", "127.0.0.1", "10.0.0.7:1", "[::1]:80", "a.example:1"]) {
            assert.strictEqual(yield* statusOf(port, method, "/peer", headers, host), reached, host)
            assert.strictEqual(yield* statusOf(port, "GET", "/metrics", [], host), 200, host)
          }
          assert.strictEqual(yield* statusOf(port, "GET", "/metrics", [], "b.replicas.example"), 200)
          for (const host of ["evil.example", "a.example.evil", "xa.example", "127.0.0.1.evil", "localhost.evil:80"]) {
            assert.strictEqual(yield* statusOf(port, method, "/peer", headers, host), 421, host)
            assert.strictEqual(yield* statusOf(port, "GET", "/metrics", [], host), 421, host)
            const put = ["Content-Length: 0"]
            assert.strictEqual(yield* statusOf(port, "PUT", "/v1/records/n/k", put, host), 421, host)
            assert.strictEqual(yield* statusOf(port, "GET", "/healthz", [], host), 421, host)
          }
        })
      )

      it.live(`a web page reaches no peers' route, wherever it is from, ${transport}, ${beside}`, () =>
        Effect.gen(function* () {
          const port = yield* replica(transport, withClients)
          const { headers, method, reached } = call[transport]
          assert.strictEqual(yield* statusOf(port, method, "/peer", headers), reached)
          for (const origin of ["https://evil.example", "http://localhost", "null", ""]) {
            assert.strictEqual(yield* statusOf(port, method, "/peer", [...headers, `Origin: ${origin}`]), 403, origin)
          }
        })
      )

      it.live(`a page of another host reaches nothing, unless it is known, ${transport}, ${beside}`, () =>
        Effect.gen(function* () {
          const port = yield* replica(transport, withClients)
          const put = (origin: string, host?: string) =>
            statusOf(port, "PUT", "/v1/records/n/k?x=1", [`Origin: ${origin}`, "Content-Length: 0"], host)
          // What it reaches says that there is no such parameter.
          const reached = withClients ? 400 : 404
          for (const origin of [
            "https://evil.example",
            "http://localhost:81",
            "https://app.example.evil",
            "https://app.example:444",
            "http://app.example",
            "HTTPS://app.example",
            "null",
            "*",
            ""
          ]) {
            assert.strictEqual(yield* put(origin, "localhost:80"), 403, origin)
            for (const path of ["/metrics", "/healthz", "/v1/status", "/openapi.json"]) {
              assert.strictEqual(yield* statusOf(port, "GET", path, [`Origin: ${origin}`]), 403, `${path} ${origin}`)
            }
          }
          assert.strictEqual(yield* put("https://app.example"), reached)
          // What a proxy serves together: the pages and the replica.
          assert.strictEqual(yield* put("http://localhost:81", "localhost:81"), reached)
          assert.strictEqual(yield* put("https://a.example", "A.example"), reached)
        })
      )

      it.live(`a page that is known is told that it may, and no other, ${transport}, ${beside}`, () =>
        Effect.gen(function* () {
          const port = yield* replica(transport, withClients)
          const asked = { "access-control-request-method": "PUT", "access-control-request-headers": "authorization" }
          const ask = (method: string, headers: Record<string, string>) =>
            Effect.promise(() => fetch(`http://127.0.0.1:${port}/metrics`, { method, headers }))
          const allowed = (response: Response) => response.headers.get("access-control-allow-origin")
          const origin = "https://app.example"
          const preflight = yield* ask("OPTIONS", { origin, ...asked })
          assert.strictEqual(preflight.status, 204)
          assert.strictEqual(allowed(preflight), origin)
          assert.strictEqual(preflight.headers.get("access-control-allow-headers"), "authorization")
          assert.include(preflight.headers.get("access-control-allow-methods"), "PUT")
          const answer = yield* ask("GET", { origin })
          assert.strictEqual(answer.status, 200)
          assert.strictEqual(allowed(answer), origin)
          assert.include(answer.headers.get("access-control-expose-headers"), "quorum-session")
          for (const headers of [{ ...asked, origin: "https://evil.example" }, { origin: "null" }]) {
            for (const method of ["OPTIONS", "GET"]) {
              const refused = yield* ask(method, headers)
              assert.strictEqual(refused.status, 403)
              assert.isNull(allowed(refused))
            }
          }
          assert.isNull(allowed(yield* ask("GET", {})))
        })
      )

      it.live(`L66 a query is refused where nobody would look at it, ${transport}, ${beside}`, () =>
        Effect.gen(function* () {
          const port = yield* replica(transport, withClients)
          const { headers, method } = call[transport]
          for (const query of ["?", "?x", "?x=1", "?w=1"]) {
            assert.strictEqual(yield* statusOf(port, method, `/peer${query}`, headers), 400, query)
            assert.strictEqual(yield* statusOf(port, "GET", `/metrics${query}`, []), 400, query)
          }
          if (withClients) assert.strictEqual(yield* statusOf(port, "GET", "/openapi.json?x=1", []), 400)
          assert.strictEqual(yield* statusOf(port, "GET", "/openapi.json", []), withClients ? 200 : 404)
        })
      )
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const b = ReplicaId.make("b")
const hello = Greeting.hello("a")

const transports = {
  http: (url: string) => HttpPeerTransport.layer({ peers: { b: url } }).pipe(Layer.provide(NodeHttpClient.layerUndici)),
  ws: (url: string) =>
    WsPeerTransport.layer({ peers: { b: url } }).pipe(Layer.provide(NodeWS.layerWebSocketConstructor))
}

/** What is told of a peer that is at a url. */
const told = Effect.fnUntraced(function* (transport: "http" | "ws", url: string) {
  const context = yield* Layer.build(Layer.provide(transports[transport](url), members))
  const client = yield* Context.get(context, PeerTransport.PeerTransport).connect(b)
  const error = yield* Effect.flip(client.hello(hello))
  assert(error._tag === "PeerUnreachable")
  return error
}, Effect.scoped)

const listening = (make: () => HttpListener | ReturnType<typeof createTcpServer>) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof make>>((resume) => {
      const server = make()
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => void server.close())
  ).pipe(Effect.map((server) => (server.address() as AddressInfo).port))

/** A server that answers every request with a status, whether it asks for an upgrade or not. */
const answering = (status: number) =>
  listening(() =>
    createServer((_, response) => response.writeHead(status, { connection: "close" }).end()).on(
      "upgrade",
      (_, socket: Socket) => socket.end(`HTTP/1.1 ${status} Said\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
    )
  )

/** A server of bytes, which does something with a connection when the first have come. */
const raw = (answer: (socket: Socket) => void) =>
  listening(() => createTcpServer((socket) => socket.on("error", () => {}).once("data", () => answer(socket))))

/** What stands at the address of a peer: a scheme's letter `s` or none, and a host; and what is said of it. */
const failures = {
  "nobody listens": { at: Effect.succeed(["", "127.0.0.1:1"]), detail: /ECONNREFUSED/ },
  "the name is unknown": { at: Effect.succeed(["", "no-such-host.invalid:1"]), detail: /ENOTFOUND|EAI_AGAIN/ },
  "the connection is reset": {
    at: Effect.map(
      raw((socket) => socket.resetAndDestroy()),
      (port) => ["", `127.0.0.1:${port}`]
    ),
    detail: /ECONNRESET/
  },
  "the connection is ended without an answer": {
    at: Effect.map(
      raw((socket) => socket.end()),
      (port) => ["", `127.0.0.1:${port}`]
    ),
    detail: /hang up|other side closed/
  },
  "it speaks TLS, and is not asked to": {
    at: Effect.map(
      raw((socket) => socket.end(Buffer.from("15030100020246", "hex"))),
      (port) => ["", `127.0.0.1:${port}`]
    ),
    detail: /Parse Error|Invalid|Expected HTTP/
  },
  "it does not speak TLS, and is asked to": {
    at: Effect.map(answering(200), (port) => ["s", `127.0.0.1:${port}`]),
    detail: /wrong version number|EPROTO|ssl/i
  }
}

describe("L9 what is told of a peer that gives no answer", () => {
  for (const transport of ["http", "ws"] as const) {
    for (const status of [200, 201, 204, 301, 307, 400, 401, 403, 404, 413, 426, 429, 500, 502, 503, 504]) {
      it.live(`something answers with ${status}: an invalid answer, with that status, over ${transport}`, () =>
        Effect.gen(function* () {
          const { detail, reason } = yield* told(transport, `${transport}://127.0.0.1:${yield* answering(status)}`)
          // To a request that is no upgrade 200 is the right status, and what is wrong is the rest.
          if (transport === "http" && status === 200) assert.include(detail, "content type none")
          else assert.strictEqual(detail, `the answer has status ${status}`)
          assert.strictEqual(reason, "invalid_answer")
        })
      )
    }

    for (const [what, { at, detail }] of Object.entries(failures)) {
      it.live(`${what}: refused, and the cause is told, over ${transport}`, () =>
        Effect.gen(function* () {
          const [secure, host] = yield* at
          const error = yield* told(transport, `${transport}${secure}://${host}`)
          assert.strictEqual(error.reason, "refused")
          assert.match(error.detail, detail)
        })
      )
    }
  }
})
