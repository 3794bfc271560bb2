/** What a client that knows nothing of Quorum does: it sends a request again under its key, wherever it is answered. */
import { assert, describe, it } from "@effect/vitest"
import * as Replicas from "./support/replicas.ts"

/** Sends one write, again and again, until it is answered with a receipt. Returns how often it was sent. */
const persist = async (urls: ReadonlyArray<string>, first: number, key: string, value: string): Promise<number> => {
  for (let tries = 1; ; tries++) {
    const url = urls[(first + tries) % urls.length]!
    try {
      const answer = await fetch(`${url}/v1/records/load/${key}`, {
        method: "PUT",
        body: value,
        headers: { "content-type": "text/plain", "idempotency-key": `"${value}"` },
        signal: AbortSignal.timeout(1500)
      })
      await answer.text()
      if (answer.status === 201) return tries
      assert.isAtLeast(answer.status, 500)
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof DOMException)) throw error
    }
    await Replicas.delay(20)
  }
}

describe("Idempotency-Key on replicas that are killed", () => {
  it("OnceByKey: no write takes effect twice, however often it was sent and wherever", async () => {
    await using replicas = await Replicas.start()
    let isOver = false
    const written: Array<string> = []
    let sent = 0
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; !isOver; i++) {
        const value = `${writer}:${i}`
        const times = await persist(replicas.urls, i + writer, `k${i % 3}`, value)
        sent += times
        written.push(value)
      }
    })
    for (const id of replicas.ids) {
      await Replicas.delay(400)
      await replicas.kill(id)
      await Replicas.delay(200)
      await replicas.start(id)
      await replicas.ready(id)
    }
    await Replicas.delay(400)
    isOver = true
    await Promise.all(writers)
    // Kills were met: some were sent more than once.
    assert.isAbove(sent, written.length)
    assert.isAbove(written.length, 20)
    for (const url of replicas.urls) {
      const versions = new Map<string, Set<string>>()
      while (written.some((value) => !versions.has(value))) {
        for (const { clock, text, tie } of await Replicas.changesOf(url)) {
          const version = `${clock.wallTime}.${clock.logical}.${tie}`
          versions.set(text, (versions.get(text) ?? new Set()).add(version))
        }
      }
      assert.deepStrictEqual(
        Array.from(versions).filter(([, each]) => each.size > 1),
        []
      )
    }
  }, 120_000)
})
