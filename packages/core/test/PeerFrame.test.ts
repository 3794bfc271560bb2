import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { Entry, type LogId } from "../src/index.ts"
import { Chain, EntryBatch, PeerFrame, PeerProtocol, ReplicaStore } from "../src/adapter.ts"
import {
  b,
  incarnation,
  log,
  longest,
  chain,
  greatest,
  batchOf,
  hello,
  welcome,
  acker,
  utf8,
  kindOf,
  pushed,
  tracesOf,
  requests,
  answers,
  frames,
  malformed,
  entriesOf
} from "./support/frames.ts"

describe("PeerFrame", () => {
  for (const [what, request] of requests) {
    it(`${what} comes out as it went in, with its number`, () => {
      for (const number of [0, 1, 2 ** 32 - 1]) {
        const read = Result.getOrThrow(PeerFrame.decodeRequest(PeerFrame.encodeRequest(number, request)))
        assert.deepStrictEqual(read, { number, message: request })
      }
    })
  }

  for (const [what, answer] of answers) {
    it(`${what} comes out as it went in, with its number`, () => {
      for (const number of [0, 1, 2 ** 32 - 1]) {
        const read = Result.getOrThrow(PeerFrame.decodeAnswer(PeerFrame.encodeAnswer(number, answer)))
        assert.deepStrictEqual(read, { number, message: answer })
      }
    })
  }

  const Sequence = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: greatest })))
  it.prop("any sequence up to 2^48 - 1 comes out as it went in", { seq: Sequence }, ({ seq }) => {
    for (const near of [seq, (seq % 2 ** 33) + 1, Math.max(1, seq - (seq % 2 ** 32)), greatest - (seq % 5)]) {
      const answer: PeerFrame.Answer = {
        _tag: "push",
        result: Result.succeed({ ...acker, replica: b, log, seq: near, chain })
      }
      const read = Result.getOrThrow(PeerFrame.decodeAnswer(PeerFrame.encodeAnswer(1, answer)))
      assert.deepStrictEqual(read.message, answer)
    }
  })

  // A frame that wrapped would ack, or push, another place.
  it("what a frame cannot hold is not written at all", () => {
    const batch = batchOf({ log, seq: 0, chain }, 1)
    for (const seq of [greatest + 1, Number.MAX_SAFE_INTEGER]) {
      assert.throws(() =>
        PeerFrame.encodeAnswer(1, { _tag: "push", result: Result.succeed({ ...acker, replica: b, log, seq, chain }) })
      )
      assert.throws(() =>
        PeerFrame.encodeRequest(1, { _tag: "push", payload: { session: "s", batch: { ...batch, from: seq } } })
      )
    }
    for (const session of ["s".repeat(256), "é", "\u0173"]) {
      assert.throws(() => PeerFrame.encodeRequest(1, { _tag: "push", payload: { session, batch } }))
    }
  })

  it("a welcome whose session no push could carry back is malformed", () => {
    const said = utf8.encode(JSON.stringify(welcome))
    const frame = (body: Uint8Array) => Uint8Array.of(kindOf("hello", "answer"), 0, 0, 0, 1, ...body)
    assert.isTrue(Result.isSuccess(PeerFrame.decodeAnswer(frame(said))))
    for (const session of ["", "s é", "s".repeat(65)]) {
      const other = utf8.encode(JSON.stringify({ ...welcome, session }))
      assert.isTrue(Result.isFailure(PeerFrame.decodeAnswer(frame(other))), session)
    }
  })

  it("a batch that was read shares the bytes of its frame, and of no more", () => {
    for (const [what, frame, decode] of frames) {
      // As a message lies in what a socket has read.
      const memory = new Uint8Array(frame.length + 20)
      memory.set(frame, 10)
      const batch = entriesOf(Result.getOrThrow(decode(memory.subarray(10, 10 + frame.length))))
      if (batch === undefined) continue
      assert.strictEqual(batch.bytes.buffer, memory.buffer, what)
      assert.strictEqual(batch.bytes.byteOffset + batch.bytes.length, 10 + frame.length, what)
      assert.isTrue(Result.isSuccess(EntryBatch.validate(batch)), what)
    }
  })

  // The end of a frame's entries is that of the message; that they are whole, their count and their chain say.
  it("a frame that is cut off anywhere is malformed, or its entries are", () => {
    for (const [what, frame, decode] of frames) {
      for (let length = 0; length < frame.length; length++) {
        const read = decode(frame.subarray(0, length))
        const batch = Result.isSuccess(read) ? entriesOf(read.success) : undefined
        if (batch === undefined) malformed(read, `${what}, ${length} of ${frame.length} bytes`)
        else assert.isTrue(Result.isFailure(EntryBatch.validate(batch)), `${what}, ${length} bytes`)
      }
    }
  })

  it("a frame with bytes too many is malformed, or its entries are", () => {
    for (const [what, frame, decode] of frames) {
      const read = decode(Uint8Array.of(...frame, 0x7d))
      const batch = Result.isSuccess(read) ? entriesOf(read.success) : undefined
      if (batch === undefined) malformed(read, what)
      else assert.isTrue(Result.isFailure(EntryBatch.validate(batch)), what)
    }
  })

  it("a request is no answer, and an answer no request", () => {
    for (const [what, frame, decode] of frames) {
      const other = decode === PeerFrame.decodeRequest ? PeerFrame.decodeAnswer : PeerFrame.decodeRequest
      assert.match(malformed(other(frame), what), /is no kind of/, what)
    }
  })

  it("a frame of another kind is malformed, unless it says the same for a push, a pull, a read, a verify and a probe", () => {
    for (const [what, frame, decode] of frames) {
      for (let kind = 0; kind < 256; kind++) {
        if (kind === frame[0]) continue
        const read = decode(Uint8Array.of(kind, ...frame.subarray(1)))
        const errors: ReadonlyArray<number> = [
          kindOf("push", "error"),
          kindOf("pull", "error"),
          kindOf("read", "error"),
          kindOf("verify", "error"),
          kindOf("probe", "error")
        ]
        const isShared = errors.includes(kind) && errors.includes(frame[0]!)
        if (!isShared || Result.isFailure(read)) malformed(read, `${what} as ${kind}`)
      }
    }
  })

  it("a push that belongs to no trace, to more than eight, or to one without an id is malformed", () => {
    const frameOf = (count: number) =>
      PeerFrame.encodeRequest(7, { _tag: "push", payload: { ...pushed, traces: tracesOf(count) } })
    assert.match(malformed(PeerFrame.decodeRequest(frameOf(9)), "nine"), /1 to 8 traces, not 9/)
    const frame = frameOf(1)
    assert.match(malformed(PeerFrame.decodeRequest(frame.slice().fill(0, 5, 6)), "none"), /1 to 8 traces, not 0/)
    for (const [from, to] of [
      [6, 22],
      [22, 30]
    ] as const) {
      assert.match(malformed(PeerFrame.decodeRequest(frame.slice().fill(0, from, to)), "an id of zeros"), /zeros/)
    }
  })

  it("traces that are not sampled are passed over, and further flags are not looked at", () => {
    const frame = PeerFrame.encodeRequest(7, { _tag: "push", payload: { ...pushed, traces: tracesOf(2) } })
    frame[30] = 0xfe
    frame[30 + 25] = 0xff
    const { message } = Result.getOrThrow(PeerFrame.decodeRequest(frame))
    assert.deepStrictEqual(message, { _tag: "push", payload: { ...pushed, traces: tracesOf(2).slice(1) } })
  })

  it("L63 a handshake has a limit of its own, and is read up to it", () => {
    const sized = (bytes: number) => {
      const hello = requests.find(([, request]) => request._tag === "hello")![1]
      assert(hello._tag === "hello")
      const frame = (features: ReadonlyArray<string>) =>
        PeerFrame.encodeRequest(1, { ...hello, payload: { ...hello.payload, features } })
      return PeerFrame.decodeRequest(frame(["x".repeat(bytes - frame([""]).length)]))
    }
    assert.isTrue(Result.isSuccess(sized(PeerFrame.maxHelloBytes)))
    const refused = sized(PeerFrame.maxHelloBytes + 1)
    assert(Result.isFailure(refused))
    assert.include(refused.failure.detail, "at most")
  })

  it("a handshake has room for 2,000 logs, as three replicas have after a boot a day each for 22 months", () => {
    const hello = requests.find(([, request]) => request._tag === "hello")![1]
    assert(hello._tag === "hello")
    const vector = Array.from({ length: 2000 }, (_, i) => ({
      log: `${"x".repeat(48)}@${String(i).padStart(16, "0")}` as LogId.LogId,
      seq: 2 ** 30,
      chain: Chain.empty
    }))
    const request = { _tag: "hello", payload: { ...hello.payload, vector, remembered: vector } } as const
    const { message } = Result.getOrThrow(PeerFrame.decodeRequest(PeerFrame.encodeRequest(1, request)))
    assert.deepStrictEqual(message, request)
  })

  // Nested as deep as a frame is long it held the event loop for a tenth of a second.
  it("L63 JSON of a peer that is nested, has very many parts or is very long is malformed, and is not taken apart", () => {
    const much = { nested: `${"[".repeat(65)}1${"]".repeat(65)}`, parts: `[${"1,".repeat(50_000)}1]` }
    const long = `"${"x".repeat(512 * 1024)}"`
    const read = (kind: number, json: string) => {
      const frame = utf8.encode(`.....{"later":${json}}`)
      frame.set([kind, 0, 0, 0, 1])
      return malformed(PeerFrame.decodeRequest(frame), json.slice(0, 9))
    }
    for (const [_, request] of requests) {
      const kind = PeerFrame.encodeRequest(1, request)[0]!
      if (!["hello", "pull", "read", "verify"].includes(request._tag)) continue
      assert.include(read(kind, much.nested), "deeper")
      assert.include(read(kind, much.parts), "parts")
      assert.include(read(kind, long), request._tag === "hello" ? "at most" : "524288 at most")
    }
  })

  // 279,000 empty names, as many as a frame has room for, held the event loop for a tenth of a second.
  it("L63 a probe of more keys than an entry has records is malformed, and so is an answer of more versions", () => {
    const keys = (count: number) => {
      const payload = { session: "s", keys: Array.from({ length: count }, () => ({ namespace: "", key: "" })) }
      return PeerFrame.decodeRequest(PeerFrame.encodeRequest(1, { _tag: "probe", payload }))
    }
    const versions = (count: number) => {
      const answer = { clock: acker.clock, members: 1, far: true }
      const versions = Array.from({ length: count }, (_, index) => ({ index, clock: acker.clock }))
      const result = Result.succeed({ ...answer, versions })
      return PeerFrame.decodeAnswer(PeerFrame.encodeAnswer(1, { _tag: "probe", result }))
    }
    for (const listed of [keys, versions]) {
      assert.isTrue(Result.isSuccess<unknown, unknown>(listed(Entry.maxRecords)))
      const read: Result.Result<unknown, unknown> = listed(Entry.maxRecords + 1)
      assert.match(malformed(read, "one more"), /10241 (keys|versions), of which there are 10240 at most/)
    }
  })

  it("what a peer says of an error can stand in a log: control characters are escapes, and it is not long", () => {
    const said = `\u001b[2J\u009b1m\r\nERROR ${"x".repeat(5000)}`
    const failures = [
      ["hello", new PeerProtocol.HandshakeRefused({ reason: "self", detail: said })],
      ["push", new PeerProtocol.PushRejected({ detail: said })],
      ["pull", new ReplicaStore.StoreError({ reason: "corrupt", detail: said })]
    ] as const
    for (const [_tag, error] of failures) {
      const frame = PeerFrame.encodeAnswer(1, { _tag, result: Result.fail(error) } as PeerFrame.Answer)
      const { message } = Result.getOrThrow(PeerFrame.decodeAnswer(frame))
      const result: Result.Result<unknown, unknown> = message.result
      const read = Result.merge(result)
      assert(read instanceof Error && "detail" in read && typeof read.detail === "string")
      assert.strictEqual(read.name, error.name)
      assert.notMatch(read.message, /\p{Cc}/u)
      assert.isTrue(read.detail.startsWith("\\u001b[2J\\u009b1m\\u000d\\u000aERROR xxx"), read.detail.slice(0, 60))
      assert.isBelow(read.detail.length, 1100)
    }
  })

  it("a handshake and a pull that break their schema are malformed", () => {
    const wrong = (request: PeerFrame.Request, change: (json: string) => string) => {
      const frame = PeerFrame.encodeRequest(7, request)
      const json = change(new TextDecoder().decode(frame.subarray(5)))
      return malformed(
        PeerFrame.decodeRequest(Uint8Array.of(...frame.subarray(0, 5), ...new TextEncoder().encode(json))),
        json
      )
    }
    const pull: PeerFrame.Request = { _tag: "pull", payload: { session: "s", log, after: 3, maxBytes: 9 } }
    wrong(pull, (json) => json.replace('"after":3', '"after":-1'))
    wrong(pull, (json) => json.replace('"after":3', '"after":3.5'))
    wrong(pull, (json) => json.replace('"after":3', '"after":"3"'))
    wrong(pull, (json) => json.replace('"maxBytes":9', '"maxBytes":0'))
    wrong(pull, (json) => json.replace(log, "a"))
    const greeting: PeerFrame.Request = { _tag: "hello", payload: hello }
    wrong(greeting, (json) => json.replace(longest, ""))
    wrong(greeting, (json) => json.replace(incarnation, "x"))
    wrong(greeting, () => "null")
  })

  const Bytes = Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), {
    maxLength: 80
  })
  it.prop("garbage never throws", { bytes: Bytes }, ({ bytes }) => {
    for (let kind = 0; kind <= 12; kind++) {
      const frame = Uint8Array.of(kind, ...bytes)
      for (const decode of [PeerFrame.decodeRequest, PeerFrame.decodeAnswer]) {
        const read: Result.Result<unknown, unknown> = decode(frame)
        if (Result.isFailure(read)) malformed(read, "garbage")
      }
    }
  })

  it.prop("a frame with bytes changed never throws", { bytes: Bytes }, ({ bytes }) => {
    for (const [what, frame, decode] of frames) {
      const damaged = frame.slice()
      bytes.forEach((byte, i) => (damaged[(byte * 31 + i * 7) % damaged.length]! ^= byte))
      const read = decode(damaged)
      if (Result.isFailure(read)) malformed(read, what)
    }
  })

  it.effect("a client takes an answer to another question for none", () =>
    Effect.gen(function* () {
      const client = PeerFrame.clientOf(b, () =>
        Effect.succeed({ _tag: "pull", result: Result.fail(new PeerProtocol.SessionUnknown()) })
      )
      const batch = batchOf({ log, seq: 0, chain: Chain.empty }, 1)
      for (const call of [client.hello(hello), client.push({ session: "s", batch })]) {
        const error: { readonly _tag: string } = yield* Effect.flip<unknown, { readonly _tag: string }, never>(call)
        assert(error instanceof PeerProtocol.PeerUnreachable)
        assert.strictEqual(error.reason, "invalid_answer")
      }
      const error = yield* Effect.flip(client.pull({ session: "s", log, after: 0, maxBytes: 1 }))
      assert.strictEqual(error._tag, "SessionUnknown")
    })
  )
})
