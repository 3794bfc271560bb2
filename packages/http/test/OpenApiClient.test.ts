/**
 * A client that a public generator makes of the OpenAPI document, against a replica that runs. The generator is installed
 * by `npm install --prefix packages/http/test/generator`, as `.ci/run` does.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Cluster from "./support/cluster.ts"
import { request } from "./support/request.ts"

const generator = fileURLToPath(new URL("./generator/node_modules/@hey-api/openapi-ts/bin/run.js", import.meta.url))

/** What the client answers: the response, and its body or the error in it. */
interface Answer {
  readonly response: Response
  readonly data?: Readonly<Record<string, unknown>>
  readonly error?: Readonly<Record<string, unknown>>
}

type Call = (options: Readonly<Record<string, unknown>>) => Promise<Answer>

/** The operations by the names that the generator gives them, bound to a replica. */
type Client = Readonly<Record<string, Call>>

/** Makes a client of a document, in a folder that goes with the scope. */
const generate = Effect.fnUntraced(function* (document: string) {
  const parent = fileURLToPath(new URL("../.vitest", import.meta.url))
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => {
      mkdirSync(parent, { recursive: true })
      return mkdtempSync(join(parent, "client-"))
    }),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  writeFileSync(join(folder, "openapi.json"), document)
  const args = [generator, "-i", join(folder, "openapi.json"), "-o", join(folder, "client")]
  yield* Effect.callback<void>((resume) => {
    execFile(process.execPath, args, { cwd: folder }, (error, out, err) =>
      resume(error === null ? Effect.void : Effect.die(new Error(`${error.message}\n${out}${err}`)))
    )
  })
  return join(folder, "client")
})

/** The client of what a replica says of itself. */
const clientOf = Effect.fnUntraced(function* (url: string) {
  const folder = yield* generate((yield* request("GET", `${url}/openapi.json`)).text)
  const load = (file: string): Effect.Effect<Record<string, unknown>> =>
    Effect.promise(() => import(/* @vite-ignore */ pathToFileURL(join(folder, file)).href))
  const { client } = (yield* load("client.gen.ts")) as {
    readonly client: { readonly setConfig: (config: { readonly baseUrl: string }) => void }
  }
  client.setConfig({ baseUrl: url })
  return (yield* load("sdk.gen.ts")) as Client
})

const call = (client: Client, name: string, options: Readonly<Record<string, unknown>> = {}) =>
  Effect.promise(() => client[name]!(options))

const bytes = (text: string) => new TextEncoder().encode(text)

describe("a client generated from the openapi document", () => {
  const isMissing = !existsSync(generator)

  it.live.skipIf(isMissing)(
    "writes, reads, lists, resumes, verifies and deletes (skipped where the generator is not installed)",
    () =>
      Effect.gen(function* () {
        const set = yield* Cluster.make(["a"])
        const { url } = yield* set.start("a")
        const client = yield* clientOf(url)
        const path = { namespace: "notes", key: "a/b;c é 100%" }

        const put = yield* call(client, "recordsPut", { path, body: bytes("\u0000 some bytes"), query: { w: 1 } })
        assert.strictEqual(put.response.status, 201)
        const receipt = put.data!
        const id = receipt["writeId"] as string

        const found = yield* call(client, "recordsGet", { path, parseAs: "arrayBuffer", query: { atLeast: id } })
        assert.deepStrictEqual(new Uint8Array(found.data as unknown as ArrayBuffer), bytes("\u0000 some bytes"))
        assert.strictEqual(found.response.headers.get("quorum-write-id"), id)

        yield* call(client, "recordsPut", { path: { ...path, key: "z" }, body: bytes("2") })
        const first = (yield* call(client, "recordsList", { query: { limit: 1 } })).data!
        const [record] = first["records"] as ReadonlyArray<Record<string, unknown>>
        assert.deepInclude(record, { ...path, writeId: id })
        const rest = (yield* call(client, "recordsList", { query: { limit: 10, after: first["next"] } })).data!
        assert.deepStrictEqual(
          (rest["records"] as ReadonlyArray<Record<string, unknown>>).map(({ key }) => key),
          ["z"]
        )

        assert.deepInclude((yield* call(client, "writesStatus", { path: { id } })).data, { committed: true })
        assert.deepInclude((yield* call(client, "writesResume", { path: { id } })).data, { writeId: id })
        const { data: copies } = yield* call(client, "receiptsVerify", { body: receipt })
        assert.deepInclude(copies!["copies"], { a: "held" })

        const removed = yield* call(client, "recordsRemove", { path })
        assert.strictEqual(removed.response.status, 200)
        const gone = yield* call(client, "recordsGet", { path })
        assert.strictEqual(gone.response.status, 404)
        assert.deepInclude(gone.error, { error: "not_found", ...path })
      }),
    60_000
  )

  it.live.skipIf(isMissing)(
    "repeats a write under its stamp, and reads how a replica is (skipped where the generator is not installed)",
    () =>
      Effect.gen(function* () {
        const set = yield* Cluster.make(["a"])
        const { url } = yield* set.start("a")
        const client = yield* clientOf(url)
        const path = { namespace: "notes", key: "once" }
        const { data: drawn } = yield* call(client, "stampsDraw", { body: { keys: [path] } })
        const again = { path, body: bytes("v"), headers: { "quorum-stamp": drawn!["stamp"] } }
        const ids = [(yield* call(client, "recordsPut", again)).data, (yield* call(client, "recordsPut", again)).data]
        assert.isDefined(ids[0]?.["writeId"])
        assert.strictEqual(ids[1]?.["writeId"], ids[0]?.["writeId"])

        const status = (yield* call(client, "status")).data!
        assert.deepInclude(status, { voting: true, readable: true, waitingWrites: 0 })
        assert.deepStrictEqual((yield* call(client, "healthz")).data, { status: "ok" })
        assert.deepStrictEqual((yield* call(client, "readyz")).data, { status: "ok" })
        const wrong = yield* call(client, "recordsPut", { path, body: bytes("v"), query: { w: 9 } })
        assert.strictEqual(wrong.response.status, 400)
        assert.deepInclude(wrong.error, { error: "invalid_request", field: "w" })
      }),
    60_000
  )
})
