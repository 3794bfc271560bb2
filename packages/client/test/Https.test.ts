/** The client whose url says https, where a replica speaks http. */
import { assert, describe, it } from "@effect/vitest"
import * as Replicas from "./support/replicas.ts"
import { createClient } from "../src/index.ts"

describe("a client whose url says https", () => {
  it("is told where what answers speaks no TLS, in words and not in those of OpenSSL", async () => {
    await using replicas = await Replicas.start(["a"])
    const [http = ""] = replicas.urls
    const url = http.replace("http:", "https:")
    const client = createClient({ urls: [url], timeoutMillis: 1000 })
    const error: unknown = await client.get("n", "k").catch((error: unknown) => error)
    assert.instanceOf(error, Error)
    assert.strictEqual(
      error.message,
      `${url} cannot be reached, or the connection broke: fetch failed: what answers there speaks no TLS; say http:// if it is to be so`
    )
    await client.close()
  })
})
