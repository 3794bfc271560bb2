import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import * as ClientApi from "../src/api/ClientApi.ts"
import * as Cluster from "./support/cluster.ts"
import { type Answer, request } from "./support/request.ts"

const single = Effect.fnUntraced(function* () {
  const set = yield* Cluster.make(["a"])
  return yield* set.start("a")
})

const characters = ["a", "\uFEFF", "é", "\u20ac", "\uffff", "\u{10000}", "😀", " ", "/", "="] as const
const Name = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals(characters)), { minLength: 1, maxLength: 12 }),
  (all) => all.join("")
)

describe("cursors", () => {
  const decode = Schema.decodeUnknownSync(ClientApi.Cursor)
  const encode = Schema.encodeSync(ClientApi.Cursor)

  it.prop("L65 a cursor decodes to what it encoded, whatever the names are", [Name, Name], ([namespace, key]) => {
    assert.deepStrictEqual(decode(encode({ namespace, key })), { namespace, key })
  })

  it.live("L65 a list by single records ends, also with names that begin with a byte order mark", () =>
    Effect.gen(function* () {
      const a = yield* single()
      const names = ["\uFEFFn", "n", "\uFEFF"]
      for (const name of names) {
        const path = `${a.url}/v1/records/${encodeURIComponent(name)}/${encodeURIComponent(name)}`
        assert.strictEqual((yield* request("PUT", path, { body: "v" })).status, 201)
      }
      const found: Array<unknown> = []
      let after: string | undefined = ""
      for (let pages = 0; pages < 5 && after !== undefined; pages++) {
        const page: Answer = yield* request("GET", `${a.url}/v1/records?limit=1${after}`)
        found.push(...(page.json.records as ReadonlyArray<{ key: string }>).map(({ key }) => key))
        after = page.json.next === undefined ? undefined : `&after=${page.json.next}`
      }
      assert.isUndefined(after)
      assert.deepStrictEqual(found.sort(), [...names].sort())
    })
  )
})
