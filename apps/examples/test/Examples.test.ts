/** The examples, on three replicas that run, and of which one is killed on the way. */
import { type Change, ChangesForgotten, createClient, type QuorumClient } from "@quorum/client"
import { Hono } from "hono"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import * as Replicas from "../../../packages/client/test/support/replicas.ts"
import * as Config from "../src/config.ts"
import * as Memory from "../src/memory.ts"
import { type SessionEnv, sessions } from "../src/sessions.ts"

let replicas: Replicas.Replicas
let client: QuorumClient

beforeAll(async () => {
  replicas = await Replicas.start()
  client = createClient({ urls: replicas.urls })
})
afterAll(async () => {
  await client.close()
  await replicas[Symbol.asyncDispose]()
})

/** Restarts a replica while something is done. */
const during = async <A>(id: string, work: () => Promise<A>): Promise<A> => {
  await replicas.kill(id)
  const done = await work()
  await replicas.start(id)
  await replicas.ready(id)
  return done
}

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await Replicas.delay(10)
}

describe("sessions", () => {
  /** An instance of an application. */
  const instance = () => {
    const app = new Hono<SessionEnv>()
    app.use(sessions(client))
    app.get("/count", (c) => {
      const session = c.get("session")!
      session["count"] = Number(session["count"] ?? 0) + 1
      return c.text(String(session["count"]))
    })
    app.get("/nothing", (c) => c.text("nothing"))
    app.get("/end", (c) => {
      c.set("session", undefined)
      return c.text("bye")
    })
    return app
  }
  const cookieOf = (answer: Response): string => answer.headers.get("set-cookie")?.split(";")[0] ?? ""

  it("go on at another instance, and while a replica is gone", async () => {
    const first = await instance().request("/count")
    const headers = { cookie: cookieOf(first) }
    assert.strictEqual(await first.text(), "1")
    assert.strictEqual(await (await instance().request("/count", { headers })).text(), "2")
    await during("a", async () => {
      assert.strictEqual(await (await instance().request("/count", { headers })).text(), "3")
    })
    await instance().request("/end", { headers })
    assert.strictEqual(await (await instance().request("/count", { headers })).text(), "1")
  })

  it("are not made for who needs none, nor under an id that somebody made up", async () => {
    assert.strictEqual(cookieOf(await instance().request("/nothing")), "")
    const made = await instance().request("/count", { headers: { cookie: "session=mine" } })
    assert.notInclude(cookieOf(made), "mine")
  })
})

describe("an agent's memory", () => {
  it("is whole after a restart, with each step and what followed from it", async () => {
    const memory = Memory.open(client, "agent-7")
    assert.strictEqual(await memory.next(), 1)
    await memory.remember(1, { said: "The door is blue.", facts: { door: "blue" } })
    await during("b", () =>
      memory.remember(2, { said: "I painted it green.", facts: { door: "green", paint: "used" } })
    )
    const again = Memory.open(createClient({ urls: replicas.urls }), "agent-7")
    assert.deepStrictEqual(
      [await again.fact("door"), await again.fact("paint"), await again.fact("roof")],
      ["green", "used", undefined]
    )
    while ((await again.next()) < 3) await Replicas.delay(10)
    assert.deepStrictEqual(
      (await again.recent(5)).map(({ number, said }) => [number, said]),
      [
        [2, "I painted it green."],
        [1, "The door is blue."]
      ]
    )
  })
})

describe("a configuration", () => {
  it("is there at first, and follows what is changed, while a replica is gone too", async () => {
    await client.put("config", "limit", { json: 10 })
    const end = new AbortController()
    const changed: Array<string> = []
    const config = await Config.follow(client, "config", end.signal, (name) => changed.push(name))
    await until(() => config.get("limit") === 10)
    await client.put("config", "limit", { json: 20 })
    await until(() => config.get("limit") === 20)
    await during("c", async () => {
      await client.put("config", "features", { json: ["dark"] })
      await until(() => config.get("features") !== undefined)
    })
    await client.delete("config", "limit")
    await until(() => config.get("limit") === undefined)
    assert.deepStrictEqual(config.get("features"), ["dark"])
    assert.includeMembers(changed, ["limit", "features"])
    end.abort()
    await config.done
  })

  it("begins anew where its position is forgotten, with what it knew until then, and forgets what is gone", async () => {
    await client.put("anew", "stays", { json: 1 })
    let begun = 0
    const refused: Array<string> = []
    const forgetful: QuorumClient = {
      ...client,
      watch: async function* (namespace, options = {}) {
        if (options.since === undefined) {
          begun++
          // At first there is one more, whose delete nobody remembers.
          if (begun === 1) yield* gone
        } else if (begun === 1) {
          refused.push(options.since)
          throw new ChangesForgotten({ message: "forgotten", position: options.since })
        }
        yield* client.watch(namespace, options)
      }
    }
    await client.put("once", "gone", { json: 2 })
    const gone: Array<Change> = []
    for await (const change of client.watch("once", { until: "now" })) gone.push(change)
    const end = new AbortController()
    const changed: Array<string> = []
    const config = await Config.follow(forgetful, "anew", end.signal, (name) => changed.push(name))
    assert.deepStrictEqual([config.get("stays"), config.get("gone")], [1, 2])
    await until(() => begun === 2 && config.get("gone") === undefined)
    await client.put("anew", "new", { json: 3 })
    await until(() => config.get("new") === 3)
    assert.strictEqual(config.get("stays"), 1)
    assert.lengthOf(refused, 1)
    assert.deepStrictEqual(
      changed.toSorted().filter((name) => name !== "new"),
      ["gone", "gone", "stays"]
    )
    end.abort()
    await config.done
  })
})
