/** Whatever a caller passes harms nobody but that caller: law L70, on a replica that commits before and after it. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { Entry, QuorumPolicy, type QuorumWriter, type Receipt, WriteId } from "../src/index.ts"
import { ReplicaStore } from "../src/adapter.ts"
import * as Cluster from "./support/cluster.ts"
import { during, failure } from "./support/time.ts"

const value = new TextEncoder().encode("v")
const good = { kind: "put", namespace: "n", key: "k", value } as const
const put = (bytes: Uint8Array) => Entry.put("n", "k", bytes)

const throws = (): never => {
  throw new Error("a getter threw")
}

const detached = () => {
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  return bytes
}

const throwsUntold = (): never => {
  throw Object.create(null)
}

/** Two bytes, and a property of their own that tells another length. */
const withLength = (property: PropertyDescriptor): Uint8Array =>
  Object.defineProperty(Uint8Array.of(1, 2), "length", property)

class Liar extends Uint8Array {
  override get length(): number {
    return 2 ** 31
  }
}

/** What is no write, and the field that the rejection names. */
const garbage: ReadonlyArray<readonly [what: string, write: unknown, field: string]> = [
  ["undefined", undefined, "write"],
  ["null", null, "write"],
  ["text", "k", "write"],
  ["a function", () => good, "write"],
  ["no kind", { ...good, kind: undefined }, "kind"],
  ["another kind", { ...good, kind: "merge" }, "kind"],
  ["an object as value", { ...good, value: { a: 1 } }, "value"],
  ["text as value", { ...good, value: "v" }, "value"],
  ["a put of half a surrogate pair", Entry.put("n", "k", "a\ud800"), "value"],
  ["a list with a put of half a surrogate pair", [good, Entry.put("n", "l", "\udc00")], "writes[1].value"],
  ["no value", { ...good, value: undefined }, "value"],
  ["an array as value", { ...good, value: [1, 2] }, "value"],
  ["an ArrayBuffer as value", { ...good, value: new ArrayBuffer(2) }, "value"],
  ["a DataView as value", { ...good, value: new DataView(new ArrayBuffer(2)) }, "value"],
  ["a Uint16Array as value", { ...good, value: Uint16Array.of(300) }, "value"],
  ["a Float64Array as value", { ...good, value: Float64Array.of(1.5) }, "value"],
  ["a Uint8ClampedArray as value", { ...good, value: Uint8ClampedArray.of(1) }, "value"],
  ["an object that says it is a Uint8Array", { ...good, value: { [Symbol.toStringTag]: "Uint8Array" } }, "value"],
  ["a value in a detached buffer", { ...good, value: detached() }, "value"],
  ["a Proxy of a value", { ...good, value: new Proxy(value, {}) }, "value"],
  ["a number as key", { ...good, key: 7 }, "key"],
  ["no key", { ...good, key: undefined }, "key"],
  ["a String object as key", { ...good, key: Object("k") as unknown }, "key"],
  ["no namespace", { ...good, namespace: undefined }, "namespace"],
  [
    "a getter that throws",
    {
      ...good,
      get key(): string {
        return throws()
      }
    },
    "write"
  ],
  ["a Proxy that throws", new Proxy(good, { get: throws }), "write"],
  ["a Proxy that throws what is no text", new Proxy(good, { get: throwsUntold }), "write"]
]

/** What is no `w`. */
const noW: ReadonlyArray<readonly [what: string, options: unknown]> = [
  ["NaN", { w: Number.NaN }],
  ["text", { w: "2" }],
  ["null", { w: null }],
  ["zero", { w: 0 }],
  ["a fraction", { w: 1.5 }],
  ["infinity", { w: Number.POSITIVE_INFINITY }],
  ["a BigInt", { w: 2n }],
  ["a symbol", { w: Symbol("w") }],
  ["an array", { w: [2] }],
  ["a function", { w: () => 2 }],
  ["all but text", { w: { allBut: "1" } }],
  ["all but everybody", { w: { allBut: 3 } }],
  ["all but less than nobody", { w: { allBut: -1 } }],
  [
    "a getter that throws",
    {
      get w(): number {
        return throws()
      }
    }
  ],
  ["a Proxy that throws what is no text", new Proxy({ w: 1 }, { get: throwsUntold })],
  [
    "an allBut that throws",
    {
      w: {
        get allBut(): number {
          return throws()
        }
      }
    }
  ]
]

/** The two questions about a write. */
const askingAbout = ({
  writer
}: Cluster.Running): ReadonlyArray<(id: WriteId.WriteId) => Effect.Effect<unknown, QuorumWriter.ResumeError>> => [
  writer.status,
  writer.resume
]

/** Calls `body` with a running replica, and then commits at its first place, which nothing may have taken. */
const unharmed = (body: (a: Cluster.Running) => Effect.Effect<void, unknown>) =>
  Effect.gen(function* () {
    const { a } = yield* Cluster.running("a", 1)
    yield* body(a)
    assert.strictEqual(a.logs.head(a.logs.own).seq, 0)
    assert.strictEqual((yield* a.writer.commit(good)).writeId, yield* Cluster.idAt(a.logs, 1))
  })

describe("what a caller passes", () => {
  for (const [what, write, field] of garbage) {
    it.effect(`L70 ${what} is rejected, and the replica goes on`, () =>
      unharmed((a) =>
        Effect.map(failure(a.writer.commit(write as Entry.Write), "WriteRejected"), (error) =>
          assert.deepInclude({ ...error }, { field, reason: "invalid" })
        )
      )
    )
  }

  for (const [what, options] of noW) {
    it.effect(`L70 a w that is ${what} is an invalid policy, and the replica goes on`, () =>
      unharmed((a) => failure(a.writer.commit(good, options as { readonly w: QuorumPolicy.W }), "InvalidPolicy"))
    )
  }

  it.effect("L70 a bad write among good ones fails alone", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const exits = yield* Effect.all(
        [good, { ...good, value: { a: 1 } } as never, good].map((write) => Effect.exit(a.writer.commit(write))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, true])
      assert.strictEqual(a.logs.head(a.logs.own).seq, 2)
    })
  )

  it.effect("a Buffer, part of a buffer and shared memory are stored as the bytes that they are", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const shared = new Uint8Array(new SharedArrayBuffer(3))
      shared.set([1, 2, 3])
      for (const bytes of [Buffer.from([1, 2, 3]), Uint8Array.of(0, 1, 2, 3, 4).subarray(1, 4), shared]) {
        const { writeId } = yield* a.writer.commit(put(bytes))
        const record = Option.getOrThrow(yield* a.records.read("n", "k", { atLeast: writeId }))
        assert.deepStrictEqual([...record.value], [1, 2, 3])
      }
    })
  )

  it.effect("L70 a value whose length lies is stored as the bytes that it has", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const lies = [
        { value: 0 },
        { value: 1 },
        { value: 3 },
        { value: 2 ** 31 },
        { value: Number.NaN },
        { get: throws }
      ]
      for (const bytes of [Liar.of(1, 2), ...lies.map(withLength)]) {
        const { writeId } = yield* a.writer.commit(put(bytes))
        const record = Option.getOrThrow(yield* a.records.read("n", "k", { atLeast: writeId }))
        assert.deepStrictEqual([...record.value], [1, 2])
      }
    })
  )

  it.effect("L70 a value that is detached or made shorter after commit was called is rejected, and only that", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      const resizable = new ArrayBuffer(8, { maxByteLength: 16 })
      const moved = new Uint8Array(8)
      const started = [put(moved), put(new Uint8Array(resizable)), good].map((write) =>
        Effect.forkChild(Effect.result(a.writer.commit(write)), { startImmediately: true })
      )
      const fibers = yield* Effect.all(started)
      structuredClone(moved, { transfer: [moved.buffer] })
      resizable.resize(4)
      yield* TestClock.adjust(1)
      const results = yield* Effect.forEach(fibers, (fiber) => fiber.pollUnsafe() ?? Effect.die("not done"))
      assert.deepStrictEqual(
        results.map((result) => (Result.isFailure(result) ? result.failure._tag : "committed")),
        ["WriteRejected", "WriteRejected", "committed"]
      )
      assert.strictEqual(a.logs.head(a.logs.own).seq, 1)
      yield* a.writer.commit(good)
    })
  )

  it.effect("L52 what is no write id, or names no place, is answered as unknown and never with another write", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      for (let i = 0; i < 2; i++) yield* a.writer.commit(good)
      const { check } = WriteId.place(yield* Cluster.idAt(a.logs, 1))
      const places = ["0", "-1", "1.5", "", " 1", "01", "0x1", "1e0", "NaN", "3", "9999999999999999"]
      const spelled = places.map((place) => WriteId.make(a.logs.own, place as never, check))
      const ids = [
        ...spelled,
        ...places.map((place) => `${a.logs.own}:${place}`),
        `${a.logs.own}:1`,
        "",
        "x",
        undefined,
        null,
        7
      ]
      for (const id of ids) {
        for (const ask of askingAbout(a)) {
          const error = yield* failure(ask(id as WriteId.WriteId), "WriteUnknown")
          assert.strictEqual<string>(error.writeId, String(id))
        }
      }
      for (const receipt of [...["", "x", undefined, null, 7].map((writeId) => ({ writeId })), undefined, null, "x"]) {
        yield* failure(a.writer.verify(receipt as Receipt.Receipt), "WriteUnknown")
        yield* failure(a.writer.upgrade(receipt as Receipt.Receipt, "all"), "WriteUnknown")
      }
      const first = yield* Cluster.idAt(a.logs, 1)
      const replaced = WriteId.make(a.logs.own, 1, check ^ 1)
      for (const ask of askingAbout(a)) {
        assert.deepInclude(yield* failure(ask(replaced), "WriteReplaced"), { writeId: replaced, held: first })
      }
      for (const seq of [1, 2]) assert.isTrue((yield* a.writer.status(yield* Cluster.idAt(a.logs, seq))).committed)
    })
  )
})

describe("what cannot be shown as text", () => {
  it.effect("L70 is the id of no write, no policy and no number of replicas, and breaks nothing", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const a = yield* cluster.start("a")
      const unshown: never = Object.create(null) as never
      const errors: ReadonlyArray<Effect.Effect<{ readonly _tag: string }, unknown>> = [
        Effect.flip(a.writer.status(unshown)),
        Effect.flip(a.writer.resume(unshown)),
        Effect.flip(a.writer.resume(unshown, { w: unshown })),
        Effect.flip(a.records.read("n", "k", { atLeast: unshown })),
        Effect.flip(a.writer.commit(put(value), { w: unshown })),
        Effect.flip(a.writer.commit(put(value), { w: { allBut: unshown } })),
        Effect.flip(a.writer.commit(unshown)),
        Effect.flip(Effect.fromResult(QuorumPolicy.make({ n: 3, w: 2, ackTimeout: unshown }))),
        Effect.flip(Effect.fromResult(QuorumPolicy.make({ n: unshown, w: 2 }))),
        Effect.flip(Effect.fromResult(QuorumPolicy.make({ n: 3, w: unshown })))
      ]
      const tags = yield* Effect.forEach(
        errors,
        Effect.map(({ _tag }) => _tag)
      )
      const [unknown, read, write, policy] = ["WriteUnknown", "ReadRejected", "WriteRejected", "InvalidPolicy"]
      assert.deepStrictEqual(tags, [unknown, unknown, unknown, read, policy, policy, write, policy, policy, policy])
      yield* during(a.writer.commit(put(value)), 10)
    })
  )
})

describe("a log that cannot be read", () => {
  const corrupt = new ReplicaStore.StoreError({ reason: "corrupt", detail: "a bit flipped" })

  it.effect("L60 status and resume of a write fail with the store's error", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const first = yield* cluster.start("a")
      const { writeId } = yield* first.writer.commit(good)
      yield* first.stop
      const store = yield* cluster.storeOf("a")
      let flipped = false
      cluster.stores.set("a", {
        ...store,
        read: (...args) => (flipped ? Effect.fail(corrupt) : store.read(...args))
      })
      const a = yield* cluster.start("a")
      flipped = true
      for (const ask of askingAbout(a)) {
        assert.strictEqual((yield* failure(ask(writeId), "StoreError")).reason, "corrupt")
      }
    })
  )

  it.effect("L60 a damaged entry is not held, though its bytes are still in memory", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      const store = yield* cluster.storeOf("a")
      let ranges: ReadonlyArray<ReplicaStore.DamagedRange> = []
      cluster.stores.set("a", { ...store, damaged: () => ranges })
      const a = yield* cluster.start("a")
      const ids = [yield* a.writer.commit(good), yield* a.writer.commit(good)].map(({ writeId }) => writeId)
      const { own } = a.logs
      ranges = [{ log: own, from: 1, to: 1 }]
      // Any read finds it.
      yield* a.logs.chainAt(own, 1)
      for (const ask of askingAbout(a)) {
        const error = yield* failure(ask(ids[0]!), "StoreError")
        assert.strictEqual(error.reason, "corrupt")
      }
      // What follows can be read, and is not announced as held: this replica does not count for it.
      assert.deepInclude(yield* a.writer.status(ids[1]!), { committed: false, holders: [] })
      yield* failure(a.writer.resume(ids[1]!), "QuorumNotMet")
    })
  )
})

describe("a store that throws", () => {
  it.effect("NotWrittenMeansNever: what it throws is no answer about the append, so the outcome is not known", () =>
    Effect.gen(function* () {
      const cluster = yield* Cluster.make(["a"], 1)
      yield* Cluster.withStore(cluster, "a", () => throws)
      const a = yield* cluster.start("a")
      yield* failure(a.writer.commit(good), "WriteUncertain")
      const exit = yield* Effect.exit(a.writer.commit(good))
      assert.isTrue(Exit.isFailure(exit) && Option.isSome(Cause.findErrorOption(exit.cause)))
      yield* failure(a.writer.commit(good), "LocalWriteFailed")
    })
  )
})

describe("what a caller asks for", () => {
  it.effect("L70 what is no name is that of no record, however it is read, and the replica goes on", () =>
    Effect.gen(function* () {
      const { a } = yield* Cluster.running("a", 1)
      yield* a.writer.commit(good)
      for (const name of [
        undefined,
        null,
        5,
        1n,
        Symbol("n"),
        {},
        ["n"],
        () => "n",
        "\ud800",
        ""
      ] as ReadonlyArray<unknown> as ReadonlyArray<never>) {
        for (const consistency of ["local", "quorum", "linearizable"] as const) {
          for (const [namespace, key] of [
            [name, "k"],
            ["n", name]
          ] as const) {
            assert.isTrue(Option.isNone(yield* a.records.read(namespace, key, { consistency })))
          }
        }
      }
      assert.isTrue(Option.isSome(yield* a.records.read("n", "k")))
    })
  )
})
