/** The client where replicas want tokens. */
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { createClient, type QuorumClient, QuorumError } from "../src/index.ts"
import * as Replicas from "./support/replicas.ts"

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "done",
    (error: unknown) => (error instanceof QuorumError ? error.code : String(error))
  )

/** A server of HTTP, and which requests it was sent. */
const listen = async (answer: (response: Http.ServerResponse) => void) => {
  const asked: Array<string> = []
  const server = Http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    request.resume().on("end", () => answer(response))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const close = () => new Promise((resolve) => server.closeAllConnections() ?? server.close(resolve))
  return { asked, url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: async () => void (await close()) }
}

describe("a client with a token", () => {
  it("L14 follows no redirect: neither its token nor what it writes goes elsewhere, and that is no answer", async () => {
    await using elsewhere = await listen((response) => response.end("{}"))
    for (const status of [301, 302, 303, 307, 308]) {
      await using replica = await listen((response) =>
        response.writeHead(status, { location: `${elsewhere.url}/v1/records/n/k` }).end()
      )
      const calls: ReadonlyArray<(client: QuorumClient) => Promise<unknown>> = [
        (client) => client.get("n", "k"),
        (client) => client.put("n", "k", "v", { stamp: "s" }),
        (client) => client.put("n", "k", "v".repeat(100_000), { stamp: "s" }),
        (client) => client.delete("n", "k", { stamp: "s" }),
        (client) => client.stamp([{ namespace: "n", key: "k" }]),
        (client) => client.watch("n").next()
      ]
      for (const call of calls) {
        const before = replica.asked.length
        const client = createClient({ urls: [replica.url], token: "secret", timeoutMillis: 100 })
        assert.notStrictEqual(await codeOf(call(client)), "done")
        assert.isAbove(replica.asked.length, before)
        await client.close()
      }
    }
    assert.deepStrictEqual(elsewhere.asked, [])
  })

  it("does what its token may do, and is told what it may not", async () => {
    await using replicas = await Replicas.start(
      ["a"],
      [
        { name: "all", sha256: sha256("all"), role: "write" },
        { name: "reads", sha256: sha256("reads"), role: "read" },
        { name: "carts", sha256: sha256("carts"), role: "write", namespaces: ["carts"] }
      ]
    )
    const of = (token?: string) => createClient({ urls: replicas.urls, ...(token === undefined ? {} : { token }) })
    const write = (token: string | undefined, namespace: string) => codeOf(of(token).put(namespace, "k", "v"))
    assert.deepStrictEqual(
      await Promise.all([
        write(undefined, "n"),
        write("none", "n"),
        write("reads", "n"),
        write("all", "n"),
        write("carts", "n")
      ]),
      ["unauthorized", "unauthorized", "forbidden", "done", "forbidden"]
    )
    const carts = of("carts")
    const receipts = await Promise.all([
      carts.put("carts", "text", "grüß"),
      carts.put("carts", "bytes", new Uint8Array([0, 255])),
      carts.put("carts", "gone", { json: 1 }),
      carts.put("carts", "long", "x".repeat(100_000))
    ])
    assert.strictEqual(new Set(receipts.map(({ writeId }) => writeId)).size, 4)
    await carts.delete("carts", "gone")
    assert.deepStrictEqual(
      await Promise.all(["text", "bytes", "gone"].map(async (key) => (await carts.get("carts", key))?.bytes)),
      [new TextEncoder().encode("grüß"), new Uint8Array([0, 255]), undefined]
    )
    assert.strictEqual((await carts.get("carts", "text"))!.contentType, "text/plain; charset=utf-8")
    assert.strictEqual(await codeOf(carts.commit([{ namespace: "carts", key: "k", value: "v" }])), "forbidden")
    // Each of its writes is a request of its own, whose path has the names.
    assert.strictEqual(await codeOf(carts.put("carts", "..", "v")), "invalid_request")
    assert.strictEqual((await of("reads").get("carts", "text"))!.text(), "grüß")
  })
})
