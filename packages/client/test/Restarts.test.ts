/** What the user of a client sees of replicas that are killed, stopped and started again: nothing. */
import { assert, describe, it } from "@effect/vitest"
import { createClient, type QuorumClient, QuorumUnavailable } from "../src/index.ts"
import * as Replicas from "./support/replicas.ts"

/** Follows what is written until it is told to stop, and takes in the values that it is shown. */
const watch = async (client: QuorumClient, shown: Set<string>, signal: AbortSignal): Promise<void> => {
  try {
    for await (const { record } of client.watch("load", { signal })) shown.add(record!.text())
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Writes and reads back until it is told to stop, and returns what was acknowledged. */
const write = async (client: QuorumClient, writer: number, goesOn: () => boolean): Promise<ReadonlyArray<string>> => {
  const acknowledged: Array<string> = []
  for (let i = 0; goesOn(); i++) {
    const [key, value] = [`${writer}-${i % 7}`, `${writer}:${i}`]
    await client.put("load", key, value)
    acknowledged.push(value)
    // Nobody else writes to this key.
    assert.strictEqual((await client.get("load", key))?.text(), value)
  }
  return acknowledged
}

describe("a client of replicas that restart", () => {
  it("has no error, no write twice, and reads its own writes, while each is killed in turn under load", async () => {
    await using replicas = await Replicas.start()
    const client = createClient({ urls: replicas.urls })
    let isOver = false
    const end = new AbortController()
    const shown = new Set<string>()
    const watching = watch(client, shown, end.signal)
    const writers = Promise.all(Array.from({ length: 8 }, (_, i) => write(client, i, () => !isOver)))
    for (const id of [...replicas.ids, ...replicas.ids]) {
      await Replicas.delay(300)
      await replicas.kill(id)
      await Replicas.delay(300)
      await replicas.start(id)
      await replicas.ready(id)
    }
    isOver = true
    const acknowledged = (await writers).flat()
    assert.isAbove(acknowledged.length, 100)
    await client.put("load", "last", "last")
    while (acknowledged.some((value) => !shown.has(value))) await Replicas.delay(20)
    end.abort()
    await watching
    await client.close()

    for (const url of replicas.urls) {
      /** The versions of each value: a value that was written twice has two. */
      const versions = new Map<string, Set<string>>()
      let missing = new Set(acknowledged)
      while (missing.size > 0) {
        for (const { clock, text, tie } of await Replicas.changesOf(url)) {
          const version = `${clock.wallTime}.${clock.logical}.${tie}`
          versions.set(text, (versions.get(text) ?? new Set()).add(version))
        }
        missing = new Set(acknowledged.filter((value) => !versions.has(value)))
      }
      assert.deepStrictEqual(
        Array.from(versions).filter(([, each]) => each.size > 1),
        []
      )
    }
  }, 120_000)

  it("goes on when the replica that it asks hangs, in the time of an attempt", async () => {
    await using replicas = await Replicas.start()
    const client = createClient({ urls: replicas.urls, attemptMillis: 500 })
    await client.put("load", "k", "1")
    for (const id of replicas.ids) {
      replicas.signal(id, "SIGSTOP")
      await client.put("load", "k", id)
      assert.strictEqual((await client.get("load", "k"))?.text(), id)
      replicas.signal(id, "SIGCONT")
      await replicas.ready(id)
    }
    await client.close()
  }, 120_000)

  it("says what the last one says when two of three are gone, and not that those are", async () => {
    await using replicas = await Replicas.start()
    const client = createClient({ urls: replicas.urls, timeoutMillis: 3000 })
    await client.put("load", "k", "1", { w: 3 })
    await replicas.kill("a")
    await replicas.kill("b")
    for (let time = 0; time < 3; time++) {
      const error = await client.put("load", "k", "2").then(
        () => undefined,
        (error: unknown) => error
      )
      assert.instanceOf(error, QuorumUnavailable)
    }
    assert.strictEqual((await client.get("load", "k"))?.text(), "1")
    await client.close()
  }, 120_000)
})
