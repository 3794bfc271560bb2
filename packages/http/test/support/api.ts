/** Replicas that serve the client API, and the requests that its tests make. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import * as Cluster from "./cluster.ts"
import { type Answer, request } from "./request.ts"

export const cluster = Effect.fnUntraced(function* (options?: Cluster.StartOptions) {
  const set = yield* Cluster.make(["a", "b", "c"], options)
  const a = yield* set.start("a")
  const b = yield* set.start("b")
  const c = yield* set.start("c")
  yield* Cluster.connected(a, "b")
  yield* Cluster.connected(a, "c")
  return { set, a, b, c }
})

/** A replica set of one: whatever does not depend on peers. */
export const single = Effect.fnUntraced(function* (options?: Cluster.StartOptions) {
  return yield* (yield* Cluster.make(["a"], options)).start("a")
})

export const put = (replica: Cluster.Running, key: string, body: BodyInit = "v", query = "") =>
  request("PUT", `${replica.url}/v1/records/notes/${encodeURIComponent(key)}${query}`, { body })

export const get = (replica: Cluster.Running, path: string) => request("GET", replica.url + path)

export const head = (replica: Cluster.Running) => replica.head(replica.own).seq

export const assertInvalid = (answer: Answer, field: string) => {
  assert.strictEqual(answer.status, 400)
  assert.strictEqual(answer.json.error, "invalid_request")
  assert.strictEqual(answer.json.field, field)
  assert.isString(answer.json.detail)
  assert.isString(answer.json.message)
}

/** The ids of the replicas that a receipt counts. */
export const ackedOf = ({ acked }: Answer["json"]): Array<string> =>
  (acked as ReadonlyArray<{ readonly replica: string }>).map(({ replica }) => replica)

/** The `w` of the policy that a receipt names. */
export const wOf = ({ policy }: Answer["json"]): unknown => (policy as { readonly w: number }).w
