/** The client where replicas want tokens. */
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { createClient, QuorumError } from "../src/index.ts"
import * as Replicas from "./support/replicas.ts"

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "done",
    (error: unknown) => (error instanceof QuorumError ? error.code : String(error))
  )

describe("a client with a token", () => {
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
