import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Entry, type QuorumWriter, type Receipt } from "../src/index.ts"
import { type PeerProtocol, RecordIndex, ReplicaStore } from "../src/adapter.ts"
import * as Tracing from "../src/events/Tracing.ts"
import * as Cluster from "./support/cluster.ts"
import { during } from "./support/time.ts"
import * as Recorder from "./support/tracer.ts"

/** Three replicas, each with a tracer unless it is not in `traced`, and what was pushed to whom. */
const traced = Effect.fnUntraced(function* (ids = ["a", "b", "c"], isSampled?: () => boolean) {
  const cluster = yield* Cluster.make(["a", "b", "c"], 2)
  const pushes: Array<PeerProtocol.Push & { readonly to: string }> = []
  const hellos: Array<PeerProtocol.Hello> = []
  for (const [from, to] of [
    ["a", "b"],
    ["a", "c"]
  ] as const) {
    cluster.faults.set(`${from}>${to}`, (client) => ({
      ...client,
      hello: (request) => Effect.suspend(() => (hellos.push(request), client.hello(request))),
      push: (request) => Effect.suspend(() => (pushes.push({ ...request, to }), client.push(request)))
    }))
  }
  const recorders = { a: Recorder.make(isSampled), b: Recorder.make(), c: Recorder.make() }
  const start = (id: "a" | "b" | "c") => {
    const starting = cluster.start(id)
    return ids.includes(id) ? Effect.withTracer(starting, recorders[id].tracer) : starting
  }
  return { ...recorders, cluster, hellos, pushes, start }
})

/** The same, running. */
const running = Effect.fnUntraced(function* (ids?: ReadonlyArray<string>, isSampled?: () => boolean) {
  const set = yield* traced(ids === undefined ? undefined : [...ids], isSampled)
  const { writer } = yield* set.start("a")
  yield* set.start("b")
  yield* set.start("c")
  yield* TestClock.adjust(1000)
  return { ...set, writer }
})

const put = (key: string) => Entry.put("secret space", key, "secret value")

describe("Tracing", () => {
  it.effect("one trace holds the batch, a push to each peer, and the append on each", () =>
    Effect.gen(function* () {
      const { a, b, c, writer } = yield* running()
      yield* during(writer.commit(put("k")), 100)
      const [append] = a.named("quorum.append")
      assert.strictEqual(append!.parent._tag, "None")
      const pushes = a.named("quorum.push")
      assert.deepStrictEqual(pushes.map(Recorder.parentOf), [append!.spanId, append!.spanId])
      assert.sameMembers(
        pushes.map(({ attributes }) => attributes.get("quorum.peer")),
        ["b", "c"]
      )
      for (const [peer, recorder] of [
        ["b", b],
        ["c", c]
      ] as const) {
        const push = pushes.find(({ attributes }) => attributes.get("quorum.peer") === peer)!
        const [copy] = recorder.spans
        assert.strictEqual(recorder.spans.length, 1)
        assert.strictEqual(copy!.name, "quorum.append")
        assert.strictEqual(Recorder.parentOf(copy!), push.spanId)
        assert.strictEqual(copy!.traceId, append!.traceId)
      }
      for (const { status } of [...a.spans, ...b.spans, ...c.spans]) assert.strictEqual(status._tag, "Ended")
    }).pipe(Effect.scoped)
  )

  it.effect("spans say log, peer, entries and bytes, and never what was written", () =>
    Effect.gen(function* () {
      const { a, b, writer } = yield* running()
      yield* during(writer.commit(put("secret key")), 100)
      const [append] = a.named("quorum.append")
      const [push] = a.named("quorum.push")
      const [copy] = b.spans
      assert.deepStrictEqual(Array.from(append!.attributes.keys()), ["quorum.log", "quorum.entries", "quorum.bytes"])
      assert.strictEqual(append!.attributes.get("quorum.entries"), 1)
      assert.strictEqual(copy!.attributes.get("quorum.peer"), "a")
      assert.deepStrictEqual([append!.kind, push!.kind, copy!.kind], ["internal", "client", "server"])
      const said = [...a.spans, ...b.spans].flatMap((span) => [span.name, ...span.attributes.values()])
      assert.notInclude(said.join(" "), "secret")
    }).pipe(Effect.scoped)
  )

  it.effect("a batch of many writes has the spans of one", () =>
    Effect.gen(function* () {
      const { a, b, c, writer } = yield* running()
      const writes = Array.from({ length: 100 }, (_, i) => writer.commit(put(`k${i}`)))
      yield* during(Effect.all(writes, { concurrency: "unbounded" }), 100)
      assert.deepStrictEqual(
        [a, b, c].map(({ spans }) => spans.length),
        [3, 1, 1]
      )
      assert.strictEqual(a.named("quorum.append")[0]!.attributes.get("quorum.entries"), 100)
    }).pipe(Effect.scoped)
  )

  it.effect("without a tracer no span is made, nothing is offered, and pushes carry nothing", () =>
    Effect.gen(function* () {
      const { a, b, c, hellos, pushes, writer } = yield* running([])
      yield* during(writer.commit(put("k")), 100)
      assert.deepStrictEqual(
        [a, b, c].map(({ spans }) => spans.length),
        [0, 0, 0]
      )
      assert.strictEqual(pushes.length, 2)
      for (const push of pushes) assert.notProperty(push, "traces")
      for (const hello of hellos) assert.notInclude(hello.features ?? [], "trace_context")
    }).pipe(Effect.scoped)
  )

  it.effect("a trace ends at a peer that does not speak of traces, and goes on at the other", () =>
    Effect.gen(function* () {
      const { a, b, c, hellos, pushes, writer } = yield* running(["a", "c"])
      const { acked } = yield* during(writer.commit(put("k")), 100)
      assert.strictEqual(acked.length, 3)
      assert.include(hellos[0]!.features ?? [], "trace_context")
      assert.notProperty(
        pushes.find(({ to }) => to === "b")!,
        "traces"
      )
      assert.strictEqual(pushes.find(({ to }) => to === "c")!.traces!.length, 1)
      assert.strictEqual(a.named("quorum.push").length, 2)
      assert.strictEqual(b.spans.length, 0)
      assert.strictEqual(c.spans.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("a root that is not sampled has nothing after it, on any replica", () =>
    Effect.gen(function* () {
      const { a, b, c, pushes, writer } = yield* running(undefined, () => false)
      yield* during(writer.commit(put("k")), 100)
      assert.deepStrictEqual(
        a.spans.map(({ name, sampled }) => [name, sampled]),
        [["quorum.append", false]]
      )
      assert.strictEqual(a.spans[0]!.status._tag, "Started", "nothing is done with it")
      assert.deepStrictEqual(
        [b, c].map(({ spans }) => spans.length),
        [0, 0]
      )
      for (const push of pushes) assert.notProperty(push, "traces")
    }).pipe(Effect.scoped)
  )

  it.effect("a batch is within the first sampled span of its commits, and linked from all of those", () =>
    Effect.gen(function* () {
      const { a, writer } = yield* running()
      const commit = (name: string, sampled: boolean) =>
        Effect.withSpan(writer.commit(put(name)), name, { root: true, sampled })
      const commits = [commit("no", false), commit("first", true), commit("second", true), writer.commit(put("none"))]
      yield* during(Effect.withTracer(Effect.all(commits, { concurrency: "unbounded" }), a.tracer), 100)
      const [append] = a.named("quorum.append")
      assert.strictEqual(append!.attributes.get("quorum.entries"), 4)
      assert.strictEqual(Recorder.parentOf(append!), a.named("first")[0]!.spanId)
      const linked = ["no", "first", "second"].map((name) => a.named(name)[0]!.links.map(({ span }) => span.spanId))
      assert.deepStrictEqual(linked, [[], [append!.spanId], [append!.spanId]])
    }).pipe(Effect.scoped)
  )

  it.effect("whatever a write asks for, its batch is in the span of its commit, and not in that of the start", () =>
    Effect.gen(function* () {
      const { cluster, a } = yield* traced()
      const index = yield* RecordIndex.makeMemory
      const slow = { ...index, get: (...key: Parameters<typeof index.get>) => Effect.delay(index.get(...key), 5) }
      const { writer } = yield* Effect.withTracer(
        Effect.withSpan(cluster.start("a", { index: slow }), "start"),
        a.tracer
      )
      yield* cluster.start("b")
      yield* cluster.start("c")
      yield* TestClock.adjust(1000)
      const stamp = () => during(writer.stamp({ namespace: "secret space", key: "k" }), 100)
      const far = { clock: { wallTime: 120_000, logical: 0 }, places: [] }
      const unsafe = (options: QuorumWriter.WriteOptions) =>
        Effect.callback<Receipt.Receipt, QuorumWriter.CommitError>((resume) => {
          writer.commitUnsafe(put("k"), resume, options)
        })
      const asked: Record<string, (sampled: boolean) => Effect.Effect<unknown, QuorumWriter.CommitError>> = {
        nothing: () => writer.commit(put("k")),
        key: (sampled) => writer.commit(put("k"), { idempotencyKey: `${sampled}` }),
        "key without a fiber": (sampled) => unsafe({ idempotencyKey: `unsafe ${sampled}`.replace(" ", "-") }),
        session: () => writer.commit(put("k"), { session: far }),
        "session without a fiber": () => unsafe({ session: far }),
        "session and key without a fiber": (sampled) => unsafe({ session: far, idempotencyKey: `both-${sampled}` })
      }
      const [one, two] = [yield* stamp(), yield* stamp()]
      asked.stamp = (sampled) => writer.commit(put("k"), { stamp: sampled ? one : two })
      for (const [name, commit] of Object.entries(asked)) {
        for (const sampled of [true, false]) {
          const before = a.named("quorum.append").length
          const span = Effect.withSpan(commit(sampled), `${name} ${sampled}`, { root: true, sampled })
          yield* during(Effect.withTracer(span, a.tracer), 200)
          const appends = a.named("quorum.append").slice(before)
          const [parent] = a.named(`${name} ${sampled}`)
          assert.deepStrictEqual(appends.map(Recorder.parentOf), sampled ? [parent!.spanId] : [], `${name} ${sampled}`)
        }
      }
      // In no span it is a trace of its own.
      yield* during(writer.commit(put("k"), { idempotencyKey: "alone" }), 200)
      assert.strictEqual(a.named("quorum.append").at(-1)!.parent._tag, "None")
    }).pipe(Effect.scoped)
  )

  it.effect("a span of many commits of one batch is linked once", () =>
    Effect.gen(function* () {
      const { a, writer } = yield* running()
      const commits = Array.from({ length: 10 }, (_, i) => writer.commit(put(`k${i}`)))
      const request = Effect.withSpan(Effect.all(commits, { concurrency: "unbounded" }), "request")
      yield* during(Effect.withTracer(request, a.tracer), 100)
      assert.strictEqual(a.named("quorum.append").length, 1)
      assert.strictEqual(a.named("request")[0]!.links.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("commits in spans that are not sampled have that decided already", () =>
    Effect.gen(function* () {
      const { a, b, writer } = yield* running()
      const commit = Effect.withSpan(writer.commit(put("k")), "request", { root: true, sampled: false })
      yield* during(Effect.withTracer(commit, a.tracer), 100)
      assert.deepStrictEqual(
        a.spans.map(({ name }) => name),
        ["request"]
      )
      assert.strictEqual(b.spans.length, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("a span that lasts gets 128 links, and no more", () =>
    Effect.gen(function* () {
      const { a, writer } = yield* running()
      const job = yield* Effect.withTracer(Effect.makeSpan("job"), a.tracer)
      for (let i = 0; i < 130; i++) yield* during(Effect.withParentSpan(writer.commit(put(`k${i}`)), job), 10)
      assert.strictEqual(a.named("quorum.append").length, 130)
      assert.strictEqual(job.links.length, 128)
    }).pipe(Effect.scoped)
  )

  it.effect("a slow store shows in its own span: not in the other's, and what waits for its turn is not counted", () =>
    Effect.gen(function* () {
      const set = yield* traced()
      yield* Cluster.withStore(set.cluster, "b", (append) => (batch) => Effect.delay(append(batch), 300))
      const { writer } = yield* set.start("a")
      yield* set.start("b")
      yield* set.start("c")
      yield* TestClock.adjust(1000)
      yield* during(writer.commit(put("k1")), 100)
      yield* during(writer.commit(put("k2")), 100)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(set.b.spans.map(Recorder.millisOf), [300, 300])
      assert.deepStrictEqual(set.c.spans.map(Recorder.millisOf), [0, 0])
    }).pipe(Effect.scoped)
  )

  it.effect("an append says how long its disk took, where the store knows", () =>
    Effect.gen(function* () {
      const set = yield* traced()
      const store = yield* set.cluster.storeOf("b")
      set.cluster.stores.set("b", { ...store, lastSyncMillis: () => 250 })
      const { writer } = yield* set.start("a")
      yield* set.start("b")
      yield* set.start("c")
      yield* TestClock.adjust(1000)
      yield* during(writer.commit(put("k")), 100)
      const syncs = [set.a, set.b].map(({ named }) =>
        named("quorum.append")[0]!.attributes.get("quorum.append.sync.duration")
      )
      assert.deepStrictEqual(syncs, [undefined, 0.25])
    }).pipe(Effect.scoped)
  )

  it.effect("batches that are pushed together are each traced to the end", () =>
    Effect.gen(function* () {
      const { a, c, cluster, writer } = yield* running()
      const noPulls = () => {
        cluster.cut("c", "a")
        cluster.cut("c", "b")
      }
      noPulls()
      cluster.cut("a", "c")
      for (const key of ["k1", "k2", "k3"]) yield* during(writer.commit(put(key)), 100)
      yield* TestClock.adjust(3000)
      cluster.heal()
      noPulls()
      yield* TestClock.adjust(3000)
      const appends = a.named("quorum.append")
      const pushes = a.named("quorum.push").filter(({ attributes }) => attributes.get("quorum.entries") === 3)
      assert.strictEqual(appends.length, 3)
      assert.deepStrictEqual(
        pushes.map(Recorder.parentOf),
        appends.map(({ spanId }) => spanId)
      )
      assert.deepStrictEqual(
        c.spans.map(({ traceId }) => traceId),
        appends.map(({ traceId }) => traceId)
      )
      assert.deepStrictEqual(
        c.spans.map(Recorder.parentOf),
        pushes.map(({ spanId }) => spanId)
      )
    }).pipe(Effect.scoped)
  )

  it.effect("what failed says the kind of its error, and nothing else of it", () =>
    Effect.gen(function* () {
      const set = yield* traced()
      const full = new ReplicaStore.StoreError({ reason: "disk_full", detail: "/secret/file" })
      yield* Cluster.withStore(set.cluster, "b", () => () => Effect.fail(full))
      const { writer } = yield* set.start("a")
      yield* set.start("b")
      yield* set.start("c")
      yield* TestClock.adjust(1000)
      yield* during(writer.commit(put("k")), 100)
      const push = set.a.named("quorum.push").find(({ attributes }) => attributes.get("quorum.peer") === "b")!
      for (const { attributes, status } of [set.b.spans[0]!, push]) {
        assert.strictEqual(attributes.get("error.type"), "disk_full")
        assert(status._tag === "Ended" && Exit.isFailure(status.exit))
        assert.notInclude(Cause.pretty(status.exit.cause), "secret")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a push whose answer never came ends with its connection", () =>
    Effect.gen(function* () {
      const { a, cluster, writer } = yield* running()
      cluster.cut("a", "b")
      yield* during(writer.commit(put("k")), 100)
      yield* TestClock.adjust(5000)
      const push = a.named("quorum.push").find(({ attributes }) => attributes.get("quorum.peer") === "b")!
      assert(push.status._tag === "Ended" && Exit.isFailure(push.status.exit))
    }).pipe(Effect.scoped)
  )

  it.effect("ids that are no hexadecimal digits stay here", () =>
    Effect.gen(function* () {
      const set = yield* traced()
      const odd = (span: Tracer.Span) => Object.assign(span, { _spanId: "my span" })
      const tracer: Tracer.Tracer = { span: (options) => odd(set.a.tracer.span(options)) }
      const { writer } = yield* Effect.withTracer(set.cluster.start("a"), tracer)
      yield* set.start("b")
      yield* set.start("c")
      yield* TestClock.adjust(1000)
      yield* during(writer.commit(put("k")), 100)
      assert.strictEqual(set.a.named("quorum.push").length, 2)
      for (const push of set.pushes) assert.notProperty(push, "traces")
    }).pipe(Effect.scoped)
  )

  it.effect("nothing is traced where tracing is off, or below the level that is traced", () =>
    Effect.gen(function* () {
      const { tracer } = Recorder.make()
      const active = Effect.map(Effect.withTracer(Tracing.make, tracer), (tracing) => tracing.active)
      assert.isTrue(yield* active)
      assert.isFalse(yield* Effect.withTracerEnabled(active, false))
      assert.isFalse(yield* Effect.provideService(active, Tracer.MinimumTraceLevel, "Error"))
    })
  )

  it("the spans of a range are those of the batches that it touches, the oldest first, and at most eight", () => {
    const recent = Tracing.makeRecent()
    const { tracer } = Recorder.make()
    const spanOf = (name: string) => [tracer.span({ name } as never)]
    recent.add(1, 3, spanOf("1-3"))
    recent.add(4, 4, [])
    recent.add(5, 6, spanOf("5-6"))
    const names = (from: number, to: number) => recent.of(from, to).map(({ name }) => name)
    assert.deepStrictEqual(names(1, 6), ["1-3", "5-6"])
    assert.deepStrictEqual(names(3, 5), ["1-3", "5-6"])
    assert.deepStrictEqual(names(4, 4), [])
    assert.deepStrictEqual(names(3, 4), ["1-3"])
    assert.deepStrictEqual(names(4, 5), ["5-6"])
    assert.deepStrictEqual(names(7, 9), [])
    for (let seq = 7; seq <= 106; seq++) recent.add(seq, seq, spanOf(`${seq}`))
    assert.deepStrictEqual(names(1, 106), ["99", "100", "101", "102", "103", "104", "105", "106"])
    assert.deepStrictEqual(names(1, 42), [])
    assert.deepStrictEqual(names(1, 43), ["43"])
  })
})
