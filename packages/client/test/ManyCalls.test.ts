/**
 * Many calls at once: they take turns, so that each is answered. Against replicas that answer when they are told; time is
 * that of the tests.
 */
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import { createClient, type GetOptions, type QuorumClient } from "../src/index.ts"

/** A client, the replicas that are asked just now, the most that ever were, and what answers all of them. */
const clientOf = (forbidden?: string) => {
  const underWay = new Map<() => void, string>()
  let most = 0
  let asked = 0
  const client = createClient({
    urls: ["http://a", "http://b"],
    attemptMillis: 1000,
    fetch: (url, { body, signal }) => {
      const { origin, pathname } = new URL(url)
      if (pathname === forbidden)
        return Promise.resolve(Response.json({ error: "forbidden", message: "" }, { status: 403 }))
      if (pathname === "/v1/stamps/each") {
        const { keys } = JSON.parse(body as string) as { readonly keys: ReadonlyArray<object> }
        return Promise.resolve(Response.json({ stamps: keys.map(() => "s") }))
      }
      asked++
      return new Promise((resolve, reject) => {
        const receipt = { writeId: "w", acked: [] }
        const lines = pathname === "/v1/batch" ? (body as string).trim().split("\n").length : 1
        const answer = () => {
          underWay.delete(answer)
          const text = Array.from({ length: lines }, (_, i) => ({ ...receipt, line: i + 1, status: 201, receipt }))
          const headers = { "quorum-write-id": "w" }
          resolve(new Response(text.map((line) => `${JSON.stringify(line)}\n`).join(""), { headers }))
        }
        underWay.set(answer, origin)
        most = Math.max(most, underWay.size)
        signal!.addEventListener("abort", () => {
          underWay.delete(answer)
          reject(signal!.reason)
        })
      })
    }
  })
  return {
    client,
    asked: () => asked,
    most: () => most,
    underWay,
    answer: () => Array.from(underWay.keys(), (answer) => answer())
  }
}

/** All that promises do by themselves is done. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A read that shares no request. */
const get = (client: QuorumClient, key: string, options: GetOptions = {}) =>
  client.get("n", key, { ...options, atLeast: "w" })

const times = Array.from({ length: 1000 }, (_, i) => i)

describe("many calls at once", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  for (const [name, call, forbidden] of [
    ["reads of what others wrote", (client: QuorumClient, i: number) => get(client, `k${i}`), undefined],
    [
      "reads with a time of their own each",
      (client: QuorumClient, i: number) => client.get("n", `k${i}`, { timeoutMillis: 5000 + i }),
      undefined
    ],
    [
      "reads of a token that may not share a request",
      (client: QuorumClient, i: number) => client.get("n", `k${i}`),
      "/v1/reads"
    ],
    [
      "writes with a time of their own each",
      (client: QuorumClient, i: number) => client.put("n", `k${i}`, "v", { timeoutMillis: 5000 + i }),
      undefined
    ],
    [
      "writes of a token that is for no batch",
      (client: QuorumClient, i: number) => client.put("n", `k${i}`, "v"),
      "/v1/batch"
    ]
  ] as const) {
    it(`that are ${name} ask 128 at once, and all are answered`, async () => {
      const { answer, client, most } = clientOf(forbidden)
      let answered = 0
      const all = Promise.all(times.map((i) => call(client, i).then(() => answered++)))
      while (answered < times.length) {
        answer()
        await settled()
      }
      await all
      assert.strictEqual(most(), 128)
    })
  }

  it("that are writes with one time that they are given share requests, as those do that are given none", async () => {
    const { answer, asked, client, most } = clientOf()
    for (const options of [{}, { timeoutMillis: 5000 }, { timeoutMillis: 5000 }]) {
      const before = asked()
      let isOver = false
      const batch = client.batch(
        times.map((i) => ({ namespace: "n", key: `k${i}`, value: "v" })),
        options
      )
      void Promise.all([batch, ...times.map((i) => client.put("n", `l${i}`, "v", options))]).then(() => (isOver = true))
      while (!isOver) {
        answer()
        await settled()
      }
      assert.isTrue((await batch).every(({ ok }) => ok))
      assert.isAtMost(asked() - before, 3)
    }
    assert.isAtMost(most(), 2)
  })

  it("that are several writes as one are written before stamps are drawn for more than 128 after them", async () => {
    const sent: Array<string> = []
    const answers: Array<() => void> = []
    const receipt = { writeId: "w", acked: [] }
    const client = createClient({
      urls: ["http://a"],
      fetch: (url) => {
        const { pathname } = new URL(url)
        sent.push(pathname)
        const answer = pathname === "/v1/stamps" ? { stamp: "s" } : { line: 1, status: 201, receipt }
        return new Promise((resolve) => answers.push(() => resolve(new Response(`${JSON.stringify(answer)}\n`))))
      }
    })
    let isOver = false
    const commits = times.map((i) => client.commit([{ namespace: "n", key: `k${i}`, value: "v" }]))
    void Promise.all(commits).then(() => (isOver = true))
    while (!isOver) {
      for (const answer of answers.splice(0)) answer()
      await settled()
    }
    let begun = 0
    const most = Math.max(...sent.map((path) => (path === "/v1/stamps" ? ++begun : begun--)))
    assert.strictEqual(most, 128)
  })

  it("ask the replica that works when it is their turn, and not the one that hung meanwhile", async () => {
    const { answer, client, underWay } = clientOf()
    const hung = new Set<string>()
    const all = Promise.all(times.slice(0, 300).map((i) => get(client, `k${i}`)))
    while (underWay.size < 128) await settled()
    const [first] = underWay.values()
    await vi.advanceTimersByTimeAsync(1000)
    let isOver = false
    void all.then(() => (isOver = true))
    while (!isOver) {
      for (const origin of underWay.values()) hung.add(origin)
      answer()
      await settled()
    }
    assert.isFalse(hung.has(first!))
  })

  it("of which one is given up or has no time left before its turn never send it", async () => {
    const { answer, asked, client, underWay } = clientOf()
    const first = times.slice(0, 128).map((i) => get(client, `k${i}`))
    while (underWay.size < 128) await settled()
    const controller = new AbortController()
    const givenUp = get(client, "given up", { signal: controller.signal }).catch((error: unknown) => error)
    const late = get(client, "late", { timeoutMillis: 1 }).catch((error: unknown) => error)
    const last = get(client, "last")
    await vi.advanceTimersByTimeAsync(1)
    const reason = new Error("enough")
    controller.abort(reason)
    assert.strictEqual(await givenUp, reason)
    assert.deepInclude(await late, { code: "timed_out", written: "no" })
    assert.strictEqual(asked(), 128)
    answer()
    await Promise.all(first)
    while (underWay.size === 0) await settled()
    answer()
    await last
    assert.strictEqual(asked(), 129)
  })
})
