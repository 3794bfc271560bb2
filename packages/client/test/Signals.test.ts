/** What a signal ends: every call, before anything is sent and while it is under way. Against a replica that hangs. */
import { assert, describe, it } from "@effect/vitest"
import { getEventListeners } from "node:events"
import { type CallOptions, createClient, type QuorumClient, type Receipt, Unreachable } from "../src/index.ts"

const reason = new Error("enough")

const json = (body: object, status = 200) => new Response(JSON.stringify(body), { status })

type Answer = (path: string, body: string) => Response | undefined

/** A client, and what it sends; what has no answer hangs until it is given up. */
const clientOf = (answer: Answer = () => undefined) => {
  const sent: Array<string> = []
  const underWay = new Set<string>()
  let onSent: (() => void) | undefined
  const client = createClient({
    urls: ["http://a", "http://b"],
    fetch: (url, { body, signal }) => {
      const { pathname } = new URL(url)
      const text = typeof body === "string" ? body : ""
      sent.push(`${pathname} ${text}`)
      onSent?.()
      const answered = answer(pathname, text)
      if (answered !== undefined) return Promise.resolve(answered)
      underWay.add(pathname)
      return new Promise((_, reject) =>
        signal!.addEventListener("abort", () => {
          underWay.delete(pathname)
          reject(signal!.reason)
        })
      )
    }
  })
  return { client, sent, underWay, whenSent: () => new Promise<void>((resolve) => (onSent = resolve)) }
}

/** What a call came to: its value, or what it failed with. */
const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

/** All that promises do by themselves is done. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

const write = { namespace: "n", key: "k", value: "v" }
const long = "v".repeat(100_000)
const id = "a@0000000000000000:1.00000000"
const receipt = { writeId: id } as Receipt

/** Every call that takes a signal. */
const calls: Readonly<Record<string, (client: QuorumClient, options: CallOptions) => Promise<unknown>>> = {
  put: (client, options) => client.put("n", "k", "v", options),
  "put with a stamp": (client, options) => client.put("n", "k", "v", { ...options, stamp: "s" }),
  "put of a long value": (client, options) => client.put("n", "k", long, options),
  delete: (client, options) => client.delete("n", "k", options),
  get: (client, options) => client.get("n", "k", options),
  list: (client, options) => client.list("n", options).next(),
  keys: (client, options) => client.keys("n", options).next(),
  watch: (client, options) => client.watch("n", options).next(),
  batch: (client, options) => client.batch([write, { namespace: "n", key: "l", delete: true }], options),
  commit: (client, options) => client.commit([write], options),
  stamp: (client, options) => client.stamp([write], options),
  resume: (client, options) => client.resume(id, options),
  writeStatus: (client, options) => client.writeStatus(id, options),
  verify: (client, options) => client.verify(receipt, options),
  status: (client, options) => client.status(options)
}

/** Each write of a batch has its own answer. */
const expected = (name: string): unknown => {
  const ended = { ok: false, error: reason }
  return name === "batch" ? [ended, ended] : reason
}

describe("a signal", () => {
  it("that is aborted already ends every call with its reason, and nothing is sent", async () => {
    const { client, sent } = clientOf()
    for (const [name, call] of Object.entries(calls)) {
      for (const options of [{}, { timeoutMillis: 5000 }]) {
        const signal = AbortSignal.abort(reason)
        assert.deepStrictEqual(await outcome(call(client, { ...options, signal })), expected(name), name)
      }
    }
    await client.close()
    assert.deepStrictEqual(sent, [])
  })

  it("says nothing of a replica: the next call is made at once, whatever the reason is", async () => {
    const { client, sent } = clientOf((path) =>
      path === "/v1/records/n/late" ? undefined : new Response("v", { headers: { "quorum-write-id": id } })
    )
    const late = new Unreachable({ message: "as a program may say it", url: "http://a" })
    for (const given of [reason, late]) {
      const controller = new AbortController()
      const underWay = outcome(client.get("n", "late", { signal: controller.signal }))
      controller.abort(given)
      assert.strictEqual(await underWay, given)
      const signal = AbortSignal.abort(given)
      assert.strictEqual(await outcome(client.get("n", "k", { signal })), given)
      assert.strictEqual(await outcome(client.status({ signal })), given)
      sent.length = 0
      const next = client.get("n", "k")
      await settled()
      assert.lengthOf(sent, 1)
      assert.strictEqual((await next)!.text(), "v")
    }
  })

  it("ends every call that is under way with its reason, and what was asked with it", async () => {
    for (const [name, call] of Object.entries(calls)) {
      for (const options of [{}, { timeoutMillis: 5000 }]) {
        const { client, sent, underWay, whenSent } = clientOf()
        const controller = new AbortController()
        const isSent = whenSent()
        const ended = outcome(call(client, { ...options, signal: controller.signal }))
        await isSent
        controller.abort(reason)
        assert.deepStrictEqual(await ended, expected(name), name)
        assert.isAbove(sent.length, 0)
        assert.deepStrictEqual(Array.from(underWay), [], name)
      }
    }
  })

  it("of all writes that share a request ends it, when their stamps are drawn and after, and nothing more is sent", async () => {
    for (const path of ["/v1/stamps/each", "/v1/batch"]) {
      const { client, sent, underWay, whenSent } = clientOf((asked, body) =>
        asked === path ? undefined : json({ stamps: JSON.parse(body).keys.map(() => "s") }, 201)
      )
      const controllers = [new AbortController(), new AbortController()]
      let isSent = whenSent()
      const ended = controllers.map(({ signal }, i) => outcome(client.put("n", `k${i}`, "v", { signal })))
      while (underWay.size === 0) {
        await isSent
        isSent = whenSent()
      }
      controllers[0]!.abort(reason)
      assert.lengthOf(underWay, 1)
      controllers[1]!.abort(reason)
      assert.deepStrictEqual(await Promise.all(ended), [reason, reason])
      assert.lengthOf(underWay, 0)
      const requests = sent.length
      await settled()
      assert.lengthOf(sent, requests)
    }
  })

  it("ends a call while it waits to ask again", async () => {
    const { client, whenSent } = clientOf(() => json({ error: "overloaded", message: "" }, 503))
    for (const name of ["get", "resume", "commit"]) {
      const controller = new AbortController()
      const isSent = whenSent()
      const ended = outcome(calls[name]!(client, { signal: controller.signal }))
      await isSent
      controller.abort(reason)
      assert.strictEqual(await ended, reason, name)
    }
  })

  it("of one write takes it from the request that it would share, and leaves the others there", async () => {
    const { client, sent, whenSent } = clientOf((path, body) => {
      if (path === "/v1/stamps/each") return json({ stamps: JSON.parse(body).keys.map(() => "s") }, 201)
      const lines = body.trim().split("\n")
      const answers = lines.map((_, i) => ({ line: i + 1, status: 201, receipt: { writeId: id, acked: [] } }))
      return new Response(answers.map((line) => `${JSON.stringify(line)}\n`).join(""))
    })
    for (const whenStamped of [false, true]) {
      sent.length = 0
      const controller = new AbortController()
      const isSent = whenSent()
      const given = outcome(client.put("n", "given up", "v", { signal: controller.signal }))
      const other = client.put("n", "other", "v")
      if (whenStamped) await isSent
      controller.abort(reason)
      assert.strictEqual(await given, reason)
      assert.strictEqual((await other).writeId, id)
      const [stamps, batch] = sent
      assert.strictEqual(stamps!.includes("given up"), whenStamped)
      assert.isFalse(batch!.includes("given up"))
      assert.isTrue(batch!.includes("other"))
    }
  })

  it("ends what is listed within a page", async () => {
    const place = { namespace: "n", writeId: id, clock: { wallTime: 1, logical: 0 }, value: "" }
    const keys = ["a", "b"].map((key) => ({ ...place, key }))
    const { client } = clientOf((path) =>
      json({ unreadable: [], ...(path.startsWith("/v1/keys") ? { keys } : { records: keys }) })
    )
    for (const list of ["list", "keys"] as const) {
      const controller = new AbortController()
      const items = client[list]("n", { signal: controller.signal })
      assert.isFalse((await items.next()).done)
      controller.abort(reason)
      assert.strictEqual(await outcome(items.next()), reason)
    }
  })

  it("has one listener, however many calls it was given, and none when they have ended", async () => {
    const writes = Array.from({ length: 200 }, (_, i) => ({ namespace: "n", key: `k${i}`, value: "v" }))
    const listeners = ({ signal }: AbortController) => getEventListeners(signal, "abort").length
    const many: ReadonlyArray<(client: QuorumClient, options: CallOptions) => Promise<unknown>> = [
      (client, options) => client.batch(writes, options),
      (client, options) => Promise.all(writes.map(({ key }) => client.get("n", key, options))),
      (client, options) => Promise.all(writes.map(({ key }) => client.put("n", key, new Uint8Array(100_000), options)))
    ]
    for (const call of many) {
      const { client, whenSent } = clientOf()
      const controller = new AbortController()
      const isSent = whenSent()
      const ended = outcome(call(client, { signal: controller.signal }))
      await isSent
      await settled()
      assert.strictEqual(listeners(controller), 1)
      controller.abort(reason)
      await ended
      assert.strictEqual(listeners(controller), 0)
    }
    const controller = new AbortController()
    const { client } = clientOf((_, body) => {
      const lines = body.split("\n").slice(0, -1)
      const answers = lines.map((line, i) => ({
        line: i + 1,
        status: 200,
        record: { ...JSON.parse(line), value: "", writeId: id }
      }))
      return new Response(answers.map((line) => `${JSON.stringify(line)}\n`).join(""))
    })
    const ended = many[1]!(client, { signal: controller.signal })
    assert.strictEqual(listeners(controller), 1)
    await ended
    assert.strictEqual(listeners(controller), 0)
  })
})
