/** Who gets into a replica set whose members show certificates, over both transports: its members, and nobody else. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { request, type RequestOptions } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Entry, QuorumPolicy, QuorumWriter, Replica, ReplicaSet, ReplicaStatus } from "@quorum/core"
import { PeerFrame, type PeerProtocol, RecordIndex, ReplicaStore } from "@quorum/core/adapter"
import { HttpNode } from "@quorum/http/node"
import * as Ports from "../../../packages/server/test/support/ports.ts"
import { Greeting } from "@quorum/testing"
import { Certificates } from "@quorum/testing/node"
import { WsNode } from "@quorum/ws/node"
import { Context, Effect, Layer, Logger, Redacted, Result, Schedule } from "effect"
import { HttpServer } from "effect/http"

const serve = { http: HttpNode.serve, ws: WsNode.serve }
const ids = ["a", "b", "c"] as const
const dead = { a: "https://127.0.0.1:1", b: "https://127.0.0.1:2", c: "https://127.0.0.1:3" }
const day = 24 * 3600 * 1000

/** An authority of the test's own, and the certificates of the members. */
const pki = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "quorum-tls-"))
    const authority = Certificates.authority(folder)
    const sign = (name: string, subject: Partial<Certificates.Subject> = {}) => ({
      ...authority.sign(name, { names: `URI:quorum://test/${name}`, ...subject }),
      authority: authority.authority
    })
    return { folder, sign, file: (name: string) => join(folder, name) }
  }),
  ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

interface Options {
  readonly transport: "http" | "ws"
  readonly tls: HttpNode.Options["tls"]
  readonly cluster?: string
  readonly self?: string
  readonly port?: number
  readonly peers?: Readonly<Record<string, string>>
  readonly secret?: Redacted.Redacted<string>
  readonly logger?: Layer.Layer<never>
}

/** A replica on a port, `b` unless another is asked for. */
const replica = Effect.fnUntraced(function* ({
  cluster = "test",
  logger = Logger.layer([]),
  peers = dead,
  port = 0,
  self = "b",
  transport,
  ...options
}: Options) {
  const policy = Result.getOrThrow(QuorumPolicy.make({ n: 3, w: 3 }))
  const context = yield* Replica.layer({ policy }).pipe(
    serve[transport]({ port, peers, ...options }),
    Layer.provide([ReplicaStore.layerMemory, RecordIndex.layerMemory]),
    Layer.provide(ReplicaSet.layer({ cluster, self, members: ids })),
    Layer.provide(logger),
    Layer.build
  )
  const { address } = Context.get(context, HttpServer.HttpServer)
  assert("port" in address)
  return {
    port: address.port,
    writer: Context.get(context, QuorumWriter.QuorumWriter),
    status: Context.get(context, ReplicaStatus.ReplicaStatus).current
  }
})

/** All members, each on a port of its own; `tlsOf` says which files each has. */
const all = Effect.fnUntraced(function* (
  transport: "http" | "ws",
  tlsOf: (id: string) => HttpNode.Options["tls"],
  cluster = "test"
) {
  const ports = yield* Ports.free(3)
  const peers = Object.fromEntries(ids.map((id, i) => [id, `https://127.0.0.1:${ports[i]!}`]))
  const start = (self: string, i: number) =>
    replica({ transport, self, peers, cluster, tls: tlsOf(self), port: ports[i]! })
  const [a, b, c] = yield* Effect.all(ids.map(start), { concurrency: "unbounded" })
  return { a: a!, b: b!, c: c! }
})

/** Who calls: what it shows, if anything. It takes whoever answers. */
type Shown = Pick<RequestOptions, "key" | "cert">
const shown = ({ certificate, key }: Certificates.Files): Shown => ({
  key: readFileSync(key),
  cert: readFileSync(certificate)
})

const frameOf = (hello: PeerProtocol.Hello) => PeerFrame.encodeRequest(1, { _tag: "hello", payload: hello })

/** Says hello in a bare frame, and what comes back: an answer of the protocol, or another text. */
const say = {
  http: (port: number, hello: PeerProtocol.Hello, as: Shown) =>
    Effect.callback<PeerFrame.Answer | string>((resume) => {
      const headers = { "content-type": "application/vnd.quorum.peer-frame" }
      const options = { host: "127.0.0.1", port, path: "/peer", method: "POST", headers, rejectUnauthorized: false }
      request({ ...options, ...as, agent: false }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () => resume(Effect.succeed(read(Buffer.concat(chunks)))))
      })
        .once("error", (error) => resume(Effect.succeed(error.message)))
        .end(frameOf(hello))
    }),
  ws: (port: number, hello: PeerProtocol.Hello, as: Shown) =>
    Effect.callback<PeerFrame.Answer | string>((resume) => {
      const socket = new NodeWS.WebSocket(`wss://127.0.0.1:${port}/peer`, { ...as, rejectUnauthorized: false })
      socket.on("open", () => socket.send(frameOf(hello)))
      socket.on("message", (data: Buffer) => {
        resume(Effect.succeed(read(data)))
        socket.terminate()
      })
      socket.on("error", (error: Error) => resume(Effect.succeed(error.message)))
      socket.on("close", (code: number) => resume(Effect.succeed(`closed with ${code}`)))
    })
}

const read = (bytes: Buffer): PeerFrame.Answer | string => {
  const answer = PeerFrame.decodeAnswer(bytes)
  return Result.isSuccess(answer) ? answer.success.message : bytes.toString()
}

/** Nothing of the protocol came back, and nothing that says who belongs to the set. */
const assertShut = (answer: PeerFrame.Answer | string): void => {
  assert(typeof answer === "string", `answered: ${JSON.stringify(answer)}`)
  assert.notMatch(answer, /quorum:\/\/|\btest\b|incarnation/)
}

const commits = (writer: QuorumWriter.QuorumWriter["Service"], count: number) =>
  Effect.forEach(Array.from({ length: count }), (_, i) => writer.commit(Entry.put("notes", `k${i}`, "v")))

/** Waits until something is so, for as long as "within seconds" may be. */
const until = (what: string, isSo: () => boolean) =>
  Effect.suspend(() => (isSo() ? Effect.void : Effect.fail(what))).pipe(
    Effect.retry(Schedule.spaced(20)),
    Effect.timeoutOrElse({ duration: 20_000, orElse: () => Effect.die(`not within 20 s: ${what}`) })
  )

const linkTo = ({ status }: { readonly status: () => ReplicaStatus.Status }, peer: string) =>
  status().peers.find(({ replica }) => replica === peer)!

/** The fingerprint of a certificate, as an operator has it printed. */
const fingerprintOf = (certificate: string) =>
  execFileSync("openssl", ["x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"], {
    encoding: "utf8"
  }).trim()

/** What a client without a certificate gets at a path, by the status; or why it gets nothing. */
const asked = (port: number, path: string, as: Shown = {}) =>
  Effect.callback<number | string>((resume) => {
    request({ host: "127.0.0.1", port, path, rejectUnauthorized: false, agent: false, ...as }, (response) => {
      response.resume()
      resume(Effect.succeed(response.statusCode ?? 0))
    })
      .once("error", (error) => resume(Effect.succeed(error.message)))
      .end()
  })

describe.each(["http", "ws"] as const)("a replica set whose members show certificates, over %s", (transport) => {
  it.live("L39 commits on all members, and answers clients that have no certificate", () =>
    Effect.gen(function* () {
      const { sign } = yield* pki
      const { a, b } = yield* all(transport, (id) => sign(id))
      yield* commits(a.writer, 20)
      if (transport === "http") assert.strictEqual(yield* asked(b.port, "/healthz"), 200)
      assert.strictEqual(yield* asked(b.port, "/peer"), transport === "http" ? 404 : 426)
    })
  )

  it.live("where a certificate is required nobody asks anything without one", () =>
    Effect.gen(function* () {
      const { sign } = yield* pki
      const { port } = yield* replica({ transport, tls: { ...sign("b"), required: true } })
      assert.isString(yield* asked(port, "/healthz"))
      assert.isNumber(yield* asked(port, "/healthz", shown(sign("a"))))
    })
  )

  it.live("L67 nobody gets in without a certificate of a member that counts now", () =>
    Effect.gen(function* () {
      const { file, sign } = yield* pki
      const own = sign("b")
      const listed = sign("c")
      const allowlist = file("allowed.txt")
      writeFileSync(allowlist, `# the set of the test\n${fingerprintOf(listed.certificate)} # c\n`)
      const listing = yield* replica({ transport, tls: { ...own, allowlist } })
      // Where there is no list, nothing but what is wrong with each of them keeps it out.
      const { port } = yield* replica({ transport, tls: own })
      const other = yield* pki
      const now = Date.now()
      const strangers: Readonly<Record<string, Shown>> = {
        "no certificate": {},
        "another authority's": shown(other.sign("a")),
        "one that has expired": shown(sign("old", { names: "URI:quorum://test/a", to: new Date(now - 1000) })),
        "one that is not valid yet": shown(sign("new", { names: "URI:quorum://test/a", from: new Date(now + day) })),
        "one of another replica set": shown(sign("x", { names: "URI:quorum://other/a" })),
        "one of no replica": shown(sign("y", { names: "DNS:a" }))
      }
      const hello = Greeting.hello("a")
      for (const as of Object.values(strangers)) assertShut(yield* say[transport](port, hello, as))
      // One that is not on the list.
      assertShut(yield* say[transport](listing.port, hello, shown(sign("a"))))
      for (const at of [port, listing.port]) {
        const answer = yield* say[transport](at, Greeting.hello("c"), shown(listed))
        assert(typeof answer !== "string" && answer._tag === "hello" && Result.isSuccess(answer.result))
      }
    })
  )

  it.live("a member cannot speak as another one", () =>
    Effect.gen(function* () {
      const { sign } = yield* pki
      const { port } = yield* replica({ transport, tls: sign("b") })
      const answer = yield* say[transport](port, Greeting.hello("a"), shown(sign("c")))
      assert(typeof answer !== "string" && answer._tag === "hello" && Result.isFailure(answer.result))
      assert(answer.result.failure._tag === "HandshakeRefused")
      assert.strictEqual(answer.result.failure.reason, "identity_mismatch")
    })
  )

  it.live("the peer that is called has to prove that it is the one", () =>
    Effect.gen(function* () {
      const { sign } = yield* pki
      const [a, c] = [sign("a"), sign("c")]
      const other = yield* pki
      const { port } = yield* replica({ transport, tls: c, self: "c" })
      const stranger = yield* replica({ transport, tls: other.sign("c"), self: "c" })
      const peers = { ...dead, b: `https://127.0.0.1:${port}`, c: `https://127.0.0.1:${stranger.port}` }
      const caller = yield* replica({ transport, tls: a, self: "a", peers })
      yield* until("both are refused", () => ["b", "c"].every((peer) => linkTo(caller, peer).link === "down"))
      assert.include(linkTo(caller, "b").detail, "its certificate is that of c")
      assert.include(linkTo(caller, "c").detail, "certificate")
    })
  )

  it.live("L41 who is taken off the allowlist loses its live connections within seconds, and gets none", () =>
    Effect.gen(function* () {
      const { file, sign } = yield* pki
      const files = { a: sign("a"), b: sign("b"), c: sign("c") }
      const lines = ids.map((id) => `${fingerprintOf(files[id].certificate)} # ${id}`)
      const allowlist = file("allowed.txt")
      writeFileSync(allowlist, lines.join("\n"))
      const tlsOf = (id: string) => ({ ...files[id as "a"], ...(id === "a" ? { allowlist } : {}) })
      const { a, b, c } = yield* all(transport, tlsOf)
      yield* commits(a.writer, 1)
      writeFileSync(allowlist, lines.slice(0, 2).join("\n"))
      yield* until("a and c have nothing to do with each other", () => {
        const { detail, link } = linkTo(a, "c")
        return link === "down" && detail!.includes("not on the allowlist") && linkTo(c, "a").link === "down"
      })
      assert.strictEqual(linkTo(a, "b").link, "up")
      assert.strictEqual(linkTo(b, "c").link, "up")
      writeFileSync(allowlist, lines.join("\n"))
      yield* until("c is back", () => linkTo(a, "c").link === "up" && linkTo(c, "a").link === "up")
    })
  )

  // Certificates take their time to expire: both at once.
  it.live(
    "L41 a certificate that expires while it is used loses its connections, and gets none",
    () =>
      Effect.gen(function* () {
        const { sign } = yield* pki
        // Certificates know whole seconds.
        const to = new Date(Math.ceil(Date.now() / 1000) * 1000 + 8000)
        const { a, c } = yield* all(transport, (id) => sign(id, id === "c" ? { to } : {}))
        yield* commits(a.writer, 1)
        yield* until("c is refused", () => linkTo(a, "c").link === "down" && linkTo(c, "a").link === "down")
        assert.isAtLeast(Date.now(), to.getTime())
        sign("c")
        yield* until("c has a new one, and is back", () => linkTo(a, "c").link === "up" && linkTo(c, "a").link === "up")
      }),
    { concurrent: true }
  )

  it.live(
    "keys and certificates are exchanged while writes are committed on all members",
    () =>
      Effect.gen(function* () {
        const { sign } = yield* pki
        const to = new Date(Date.now() + 10_000)
        const { a } = yield* all(transport, (id) => sign(id, { to }))
        for (const id of ids) {
          sign(id)
          yield* commits(a.writer, 50)
        }
        // The first ones have expired.
        yield* Effect.sleep(Math.max(0, to.getTime() + 1000 - Date.now()))
        yield* commits(a.writer, 50)
      }),
    { concurrent: true }
  )

  it.live("with a secret too, both have to be proved", () =>
    Effect.gen(function* () {
      const { sign } = yield* pki
      const secret = Redacted.make("the secret of the set, which has 32 bytes or more")
      const { port } = yield* replica({ transport, tls: sign("b"), secret })
      assertShut(yield* say[transport](port, Greeting.hello("a"), shown(sign("a"))))
    })
  )

  it.live(
    "L40 TLS never turns itself off: files that cannot be used, and urls without it, are refused at the start",
    () =>
      Effect.gen(function* () {
        const { file, sign } = yield* pki
        const own = sign("b")
        const start = (tls: HttpNode.Options["tls"], more: Partial<Options> = {}) =>
          Effect.map(Effect.flip(replica({ transport, tls, ...more })), ({ message }) => message)
        writeFileSync(file("list.txt"), "# fingerprints\nnot one")
        assert.include(yield* start({ ...own, key: file("no.key") }), "no.key: there is no such file")
        assert.include(yield* start({ ...own, certificate: own.key }), "b.key: it is no certificate in PEM")
        assert.include(yield* start({ ...own, key: sign("a").key }), "a.key: it does not fit")
        assert.include(yield* start({ ...own, ...sign("a") }), "it is the certificate of a, and this replica is b")
        assert.include(
          yield* start({ ...own, allowlist: file("list.txt") }),
          "list.txt: line 2 is no SHA-256 fingerprint"
        )
        assert.include(
          yield* start({ ...own, names: { "x.example": "d" } }),
          "x.example stands for d, which is no member"
        )
        assert.include(
          yield* start(own, { peers: { ...dead, a: "http://127.0.0.1:1" } }),
          "a: with TLS, urls begin with https://"
        )
        const old = sign("b", { to: new Date(Date.now() - 1000) })
        assert.include(yield* start({ ...own, ...old }), "its certificate has expired")
      })
  )
})

describe("the commands of docs/security.md", () => {
  it("exchange a secret", () => {
    const folder = mkdtempSync(join(tmpdir(), "quorum-secret-"))
    const text = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8")
    const section = text.slice(text.indexOf("## A secret"), text.indexOf("## Who watches"))
    const blocks = Array.from(section.matchAll(/```sh\n([^]*?)```/g), ([, block]) => block!.trim().split("\n"))
    const run = (line: string) => execFileSync("bash", ["-euc", line], { cwd: folder, stdio: "pipe" })
    const secret = () => readFileSync(join(folder, "secret"), "utf8").trim().split("\n")
    const [[first], [make, ...rounds]] = blocks as [[string], [string, ...ReadonlyArray<string>]]
    run(first)
    const [old] = secret()
    run(make)
    const next = readFileSync(join(folder, "new"), "utf8").trim()
    const seen = rounds.map((round) => {
      run(round)
      assert.strictEqual(statSync(join(folder, "secret")).mode & 0o777, 0o600)
      return secret()
    })
    assert.deepStrictEqual(seen, [[old, next], [next, old], [next]])
    assert.isAtLeast(next.length, 32)
    rmSync(folder, { recursive: true })
  })

  it.live("make what three replicas need", () =>
    Effect.gen(function* () {
      const { folder } = yield* pki
      const text = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8")
      const section = text.slice(text.indexOf("## Certificates"))
      const blocks = Array.from(section.matchAll(/```sh\n([^]*?)```/g), ([, block]) => block!)
      assert.lengthOf(blocks, 4)
      for (const block of blocks) execFileSync("bash", ["-euc", block], { cwd: folder, stdio: "pipe" })
      assert.match(readFileSync(join(folder, "tokens.json"), "utf8"), /"certificate": "([0-9A-F]{2}:){31}[0-9A-F]{2}"/)
      const file = (name: string) => join(folder, name)
      const tlsOf = (id: string) => ({
        key: file(`${id}.key`),
        certificate: file(`${id}.pem`),
        authority: file("authority.pem"),
        allowlist: file("allowlist.txt")
      })
      const { a } = yield* all("ws", tlsOf, "notes")
      yield* commits(a.writer, 3)
    })
  )
})
