/** A replica within a program that uses promises. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { QuorumError } from "@quorum/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { openReplica } from "../src/index.ts"
import * as Opened from "./support/opened.ts"
import * as Ports from "./support/ports.ts"
import { program } from "./readme/embedded.ts"

const timeout = 120_000

const { failure, folder, open, peersOf, single, three } = Opened.make()

describe("an open replica", () => {
  it(
    "writes, reads, deletes and lists with promises, and several writes as one",
    async () => {
      const { a, b } = await three()
      const receipt = await a.put("notes", "greeting", "hello", { w: 3 })
      assert.deepInclude(receipt.policy, { n: 3, w: 3, ackTimeoutMillis: 2000 })
      const read = await b.get("notes", "greeting", { consistency: "linearizable" })
      assert.deepInclude(
        { ...read },
        { namespace: "notes", key: "greeting", contentType: "text/plain; charset=utf-8", writeId: receipt.writeId }
      )
      assert.strictEqual(read?.text(), "hello")
      const both = await a.commit([
        { namespace: "notes", key: "json", value: { json: { a: [1] } } },
        { namespace: "notes", key: "bytes", value: Uint8Array.of(0, 255) },
        { namespace: "notes", key: "greeting", delete: true }
      ])
      const seen = await b.get("notes", "json", { atLeast: both.writeId })
      assert.deepStrictEqual(seen?.json(), { a: [1] })
      assert.isUndefined(await b.get("notes", "greeting"))
      const listed: Array<string> = []
      for await (const record of a.list("notes", { reverse: true })) listed.push(`${record.key} ${record.bytes.length}`)
      assert.deepStrictEqual(listed, ["json 9", "bytes 2"])
      await a.delete("notes", "json")
      assert.isUndefined(await a.get("notes", "json"))
    },
    timeout
  )

  it(
    "follows what is written, from a position on, until it is left, told to end or closed",
    async () => {
      const a = await single()
      await a.put("notes", "k", "1")
      await a.put("other", "k", "no")
      await a.commit([
        { namespace: "notes", key: "l", value: { json: 2 } },
        { namespace: "notes", key: "k", delete: true }
      ])
      const seen: Array<string> = []
      let position: string | undefined
      for await (const { key, position: at, record } of a.watch("notes", { until: "now" })) {
        seen.push(`${key} ${record?.text() ?? "deleted"}`)
        position ??= at
      }
      assert.deepStrictEqual(seen, ["k 1", "l 2", "k deleted"])
      assert.isDefined(position)

      const live = a.watch("notes", { since: position!, prefix: "n" })
      const next = live.next()
      await a.put("notes", "new", "later")
      assert.strictEqual((await next).value?.record?.text(), "later")
      await live.return()

      const stopped = new AbortController()
      const aborted = a.watch("notes", { since: position!, prefix: "z", signal: stopped.signal }).next()
      stopped.abort(new Error("enough"))
      assert.strictEqual((await failure(aborted)).message, "enough")
      assert.deepInclude(await failure(a.watch("notes", { since: "§" }).next()), {
        code: "invalid_request",
        field: "since"
      })

      const follower = a.watch("notes", { prefix: "l" })
      assert.strictEqual((await follower.next()).value?.key, "l")
      const waiting = failure(follower.next())
      await a.close()
      assert.strictEqual((await waiting).code, "replica_closing")
      assert.strictEqual((await failure(a.watch("notes").next())).code, "replica_closing")
    },
    timeout
  )

  it(
    "waits for, asks about and verifies a write, and makes a stamped one once",
    async () => {
      const { a, b } = await three()
      const stamp = await a.stamp([{ namespace: "n", key: "k" }])
      const first = await a.put("n", "k", "v", { stamp })
      const second = await b.put("n", "k", "v", { stamp })
      assert.deepStrictEqual(second.clock, first.clock)
      assert.strictEqual((await b.resume(first.writeId, { w: 3 })).acked.length, 3)
      assert.deepInclude(await a.writeStatus(first.writeId), { committed: true, n: 3 })
      assert.deepInclude(await a.verify(first), { held: 3, committed: true })
      assert.deepInclude(a.status(), { voting: true })
    },
    timeout
  )

  it(
    "never says that nothing was written when time ran out, and has a stamp to go on with",
    async () => {
      const { a, b } = await three()
      const stamp = await a.stamp([{ namespace: "n", key: "k" }])
      // All three have to sync it: that takes longer, at one of a few attempts.
      const late = async (): Promise<object> => {
        for (;;) {
          const put = a.put("n", "k", "v", { stamp, w: 3, timeoutMillis: 1 })
          const error = await put.then(
            () => undefined,
            (error: unknown) => error
          )
          if (error instanceof QuorumError) return { ...error }
        }
      }
      const error = await late()
      assert.deepInclude(error, { code: "outcome_unknown", written: "perhaps", stamp })
      const first = await b.put("n", "k", "v", { stamp })
      assert.deepStrictEqual((await a.put("n", "k", "v", { stamp, timeoutMillis: 10_000 })).clock, first.clock)
      assert.strictEqual((await a.put("n", "k", "w", { timeoutMillis: 10_000 })).policy.w, 2)
    },
    timeout
  )

  it(
    "stores the bytes of the call, whatever their caller does with them after it, those of a `Buffer` too",
    async () => {
      const a = await single()
      for (const value of [new Uint8Array(9), Buffer.alloc(9), new ArrayBuffer(9)]) {
        const writes = [
          a.put("n", "put", value),
          a.put("n", "timed", value, { timeoutMillis: 10_000 }),
          a.commit([
            { namespace: "n", key: "one", value },
            { namespace: "n", key: "of two", value }
          ])
        ]
        new Uint8Array(value instanceof ArrayBuffer ? value : value.buffer).fill(7)
        await Promise.all(writes)
        for (const key of ["put", "timed", "one", "of two"]) {
          assert.deepStrictEqual((await a.get("n", key))?.bytes, new Uint8Array(9))
        }
      }
    },
    timeout
  )

  it(
    "refuses what it does not know, by the name under which it was given",
    async () => {
      const a = await single()
      const place = { namespace: "n", key: "k" }
      for (const [field, call] of [
        ["consistenc", () => a.get("n", "k", { consistenc: "quorum" } as never)],
        ["W", () => a.put("n", "k", "v", { W: 3 } as never)],
        ["options", () => a.put("n", "k", "v", null as never)],
        ["namespace", () => a.get(5 as never, "k")],
        ["key", () => a.get("n", undefined as never)],
        ["signal", () => a.delete("n", "k", { signal: 5 } as never)],
        ["pageSize", () => a.list("n", { pageSize: 5 } as never).next()],
        ["pageSize", () => a.keys("n", { pageSize: 5 } as never).next()],
        ["from", () => a.watch("n", { from: "x" } as never).next()],
        ["namespace", () => a.list(undefined as never).next()],
        ["namespace", () => a.keys(undefined as never).next()],
        ["namespace", () => a.watch(undefined as never).next()],
        ["stamp", () => a.batch([], { stamp: "s" } as never)],
        ["ttl", () => a.commit([{ ...place, value: "v", ttl: 5 } as never])],
        ["delete", () => a.commit([{ ...place, value: "v", delete: true } as never])],
        ["writes", () => a.batch(undefined as never)],
        ["writes", () => a.commit(undefined as never)],
        ["writes", () => a.commit([undefined as never])],
        ["delete", () => a.commit([{ ...place, value: "v", delete: "yes" } as never])],
        ["contentType", () => a.commit([{ ...place, contentType: "text/plain", delete: true } as never])],
        ["value", () => a.put("n", "k", "a\ud800")],
        ["value", () => a.commit([{ ...place, value: "\udc00" }])],
        ["value", () => a.put("n", "k", { json: Number.NaN })],
        ["value", () => a.put("n", "k", { json: { deep: [null, Infinity] } })],
        ["value", () => a.put("n", "k", { json: 1, type: "x" } as never)],
        ...[Number.NaN, 0, -1, Infinity, 2 ** 31, "5", null].flatMap((timeoutMillis) => {
          const options = { timeoutMillis } as never
          return [
            ["timeoutMillis", () => a.put("n", "k", "v", options)],
            ["timeoutMillis", () => a.delete("n", "k", options)],
            ["timeoutMillis", () => a.commit([{ ...place, value: "v" }], options)],
            ["timeoutMillis", () => a.get("n", "k", options)],
            ["timeoutMillis", () => a.stamp([place], options)],
            ["timeoutMillis", () => a.watch("n", options).next()]
          ] as const
        })
      ] as const) {
        assert.deepInclude({ ...(await failure(call())) }, { code: "invalid_request", field, written: "no" })
      }
      assert.isUndefined(await a.get("n", "k"))
      for (const [options, said] of [
        [undefined, '"folder" of openReplica: it is missing'],
        [{ folder: "x" }, '"id" of openReplica: it is missing'],
        [{ id: "a", folder: 5 }, '"folder" of openReplica: Expected string']
      ] as const) {
        assert.include((await failure(openReplica(options as never))).message, said)
      }
    },
    timeout
  )

  it(
    "fails with classes that have a code and say what is known",
    async () => {
      const { a, b, c } = await three()
      assert.deepInclude(await failure(a.put("", "k", "v")), {
        code: "write_rejected",
        field: "namespace",
        written: "no"
      })
      assert.deepInclude(await failure(a.put("n", "k", "v", { w: 4 })), { code: "invalid_request", field: "w" })
      assert.deepInclude(await failure(a.put("n", "k", { json: 1n } as never)), {
        code: "invalid_request",
        field: "value"
      })
      assert.deepInclude(await failure(a.resume("nonsense")), { code: "invalid_request", field: "writeId" })
      assert.deepInclude(await failure(a.get("n", "k", { r: 9 })), { code: "invalid_request", field: "r" })
      assert.deepInclude(await failure(a.commit([])), { code: "invalid_request", field: "writes" })
      const { writeId } = await a.put("n", "k", "v")
      const unknown = await failure(a.writeStatus(writeId.replace(/:\d+\./, ":999.")))
      assert.strictEqual(unknown.code, "write_unknown")
      await Promise.all([b.close(), c.close()])
      const alone = await failure(a.put("n", "k", "v"))
      assert.isTrue(alone instanceof QuorumError)
      assert.deepInclude(
        Object.values(alone["verdicts"] as object).map(({ kind }) => kind),
        "refused"
      )
    },
    timeout
  )

  it(
    "answers what it has taken when it is closed, takes nothing more, and is found as it was",
    async () => {
      const [port] = await Effect.runPromise(Ports.free(1))
      const replica = await open({ id: "a", port: port! })
      const answers = Promise.all(Array.from({ length: 200 }, (_, i) => replica.put("n", `k${i}`, String(i))))
      await replica.close()
      assert.lengthOf(await answers, 200)
      assert.strictEqual((await failure(replica.put("n", "k", "v"))).code, "replica_closing")
      await replica.close()
      const again = await open({ id: "a", port: port! })
      assert.strictEqual((await again.get("n", "k199"))?.text(), "199")
    },
    timeout
  )

  it("says by the names of its own options what is missing", async () => {
    const peers = { a: "http://127.0.0.1:1", b: "http://127.0.0.1:2" }
    const { message } = await failure(openReplica({ id: "a", folder: join(folder(), "a"), peers }))
    assert.match(message, /"secret" of openReplica: it is missing: .*\(tlsKeyFile, .*or for trying out insecure: true$/)
    const host = await failure(openReplica({ id: "a", folder: join(folder(), "a"), host: "0.0.0.0" }))
    assert.match(host.message, /"host" of openReplica: .*; give secret, or certificates \(tlsKeyFile, /)
    const tls = await failure(
      openReplica({ id: "a", folder: join(folder(), "a"), peers, tlsKeyFile: "k", tlsCaFile: "c" })
    )
    assert.match(tls.message, /"tlsCertFile" of openReplica: it is missing; TLS needs tlsCertFile beside "tlsKeyFile"/)
  })

  it("refuses a secret that is no text, a second one, a folder under another name, and peers that are none", async () => {
    const whole = { id: "a", folder: join(folder(), "a"), port: 0 }
    const refused = async (more: object) => {
      const { code, message } = await failure(open({ ...whole, ...more } as never))
      return [code, message]
    }
    const secretFile = join(folder(), "secret")
    assert.deepStrictEqual(
      await Promise.all([
        refused({ secret: Buffer.alloc(32) }),
        refused({ secret: null }),
        refused({ secret: "a secret of thirty-two bytes, or more", secretFile }),
        refused({ data: "elsewhere" }),
        refused({ peers: new Map([["a", "http://127.0.0.1:1"]]) })
      ]),
      [
        ["invalid_config", '"secret" of openReplica: Expected string'],
        ["invalid_config", '"secret" of openReplica: Expected string'],
        [
          "invalid_config",
          '"secretFile" of openReplica: it would do nothing: secret is given too; leave one of the two out'
        ],
        ["invalid_config", '"data" of openReplica: there is no such setting; did you mean folder?'],
        [
          "invalid_config",
          '"peers" of openReplica: it names no replica; name all of the set, this one among them, or leave it out for a set of one'
        ]
      ]
    )
    assert.isFalse(existsSync(whole.folder))
  })

  it(
    "says by a code why it does not open, and leaves nothing open",
    async () => {
      const [port] = await Effect.runPromise(Ports.free(1))
      await open({ id: "a", port: port! })
      assert.strictEqual((await failure(open({ id: "a", port: port! + 1 }))).code, "store_locked")
      assert.strictEqual((await failure(open({ id: "b", port: port! }))).code, "port_in_use")
      // The one that found its port taken has written nothing.
      assert.isFalse(existsSync(join(folder(), "b")))
      const b = await open({ id: "b", port: port! + 1 })
      assert.strictEqual(b.url, `http://127.0.0.1:${port! + 1}`)
      const wrong = await failure(open({ id: "c", prot: 1 } as never))
      assert.strictEqual(wrong.code, "invalid_config")
      assert.include(wrong.message, '"prot" of openReplica: there is no such setting; did you mean port?')
      const secret = await failure(
        open({ id: "c", peers: { c: "http://127.0.0.1:1", d: "http://127.0.0.1:2" }, secret: "short" })
      )
      assert.include(secret.message, "the secret of the peers has 5 bytes")
      // An address that is for documents, and an address as a url spells it: another port would not do.
      for (const host of ["192.0.2.1", "[::1]"]) {
        const elsewhere = await failure(open({ id: "d", host, secret: "a secret of thirty-two bytes, or more" }))
        assert.strictEqual(elsewhere.code, "host_unusable")
        assert.match(elsewhere.message, /cannot be listened on: E[A-Z_]+; give another host/)
      }
    },
    timeout
  )

  it(
    "is closed by `await using`",
    async () => {
      const peers = await peersOf()
      const secret = "a secret of thirty-two bytes, or more"
      const others = [open({ id: "b", peers, secret }), open({ id: "c", peers, secret })]
      await Promise.all(others).then((all) => Promise.all(all))
      const said = await retried(() => program("a", peers, join(folder(), "a"), secret))
      assert.match(said, /^a@.* is on [23] replicas: hello$/)
      assert.strictEqual((await open({ id: "a", peers })).id, "a")
    },
    timeout
  )
})

/** A set that begins takes no writes before all have met. */
const retried = async <A>(f: () => Promise<A>): Promise<A> => {
  for (;;) {
    try {
      return await f()
    } catch (error) {
      if (!(error instanceof QuorumError) || error.written !== "no") throw error
    }
  }
}
