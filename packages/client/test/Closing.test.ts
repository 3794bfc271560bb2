/** What a client does that is closed: all that was asked before, and nothing else. Against replicas that answer at once. */
import { assert, describe, it } from "@effect/vitest"
import { ClientClosed, createClient, type QuorumClient } from "../src/index.ts"

const clientOf = () => {
  const sent: Array<string> = []
  const receipt = { writeId: "w", acked: [] }
  const client = createClient({
    urls: ["http://a"],
    fetch: async (url) => {
      const { pathname } = new URL(url)
      sent.push(pathname)
      if (pathname.startsWith("/v1/stamps")) return Response.json({ stamp: "s", stamps: ["s"] })
      return new Response(`${JSON.stringify({ ...receipt, line: 1, status: 201, receipt })}\n`)
    }
  })
  return { client, sent }
}

const write = { namespace: "n", key: "k", value: "v" }
const long = { ...write, value: "v".repeat(100_000) }

/** Every call that writes, and what it is answered. */
const calls: Readonly<Record<string, (client: QuorumClient) => Promise<unknown>>> = {
  put: (client) => client.put("n", "k", "v"),
  "put with a time of its own": (client) => client.put("n", "k", "v", { timeoutMillis: 5000 }),
  "put with a w of its own": (client) => client.put("n", "k", "v", { w: 3 }),
  "put of a long value": (client) => client.put("n", "k", long.value),
  delete: (client) => client.delete("n", "k"),
  commit: (client) => client.commit([write]),
  "commit of a long value": (client) => client.commit([long]),
  stamp: (client) => client.stamp([write]),
  // Each write of a batch has its own answer.
  batch: async (client) => {
    const [answer] = await client.batch([write])
    if (answer!.ok) return answer!.receipt
    throw answer!.error
  },
  "batch of a long value": async (client) => {
    const [answer] = await client.batch([long])
    if (answer!.ok) return answer!.receipt
    throw answer!.error
  }
}

describe("a client that is closed", () => {
  for (const [name, call] of Object.entries(calls)) {
    it(`has done all of a ${name} that was asked before, and refuses one after`, async () => {
      const { client, sent } = clientOf()
      const answer = call(client)
      await client.close()
      const before = sent.length
      assert.isAbove(before, 0)
      await answer
      const error = await call(client).catch((error: unknown) => error)
      assert.instanceOf(error, ClientClosed)
      assert.lengthOf(sent, before)
    })

    it(`refuses a ${name} when it was never asked anything`, async () => {
      const { client, sent } = clientOf()
      await client.close()
      assert.instanceOf(await call(client).catch((error: unknown) => error), ClientClosed)
      assert.lengthOf(sent, 0)
    })
  }
})
