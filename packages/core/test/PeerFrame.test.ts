import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { Entry, HybridLogicalClock, LogId, ReplicaId } from "../src/index.ts"
import {
  Chain,
  EntryBatch,
  PeerFrame,
  PeerMethods,
  PeerProtocol,
  ReplicaStore,
  type RunId,
  type Watermark
} from "../src/adapter.ts"
import { says } from "./support/greeting.ts"

const b = ReplicaId.make("b")
const incarnation = "9f3c52d0b1e44a07" as LogId.Incarnation
const log = LogId.make(ReplicaId.make("a"), incarnation)
const longest = ReplicaId.make(`Z${"._-9".repeat(15)}xyz`)
const longestLog = LogId.make(longest, incarnation)
const chain = "0123456789abcdef" as Chain.Chain
/** The greatest sequence that a frame holds. */
const greatest = 2 ** 48 - 1

const batchOf = (head: Watermark.Watermark, count: number) =>
  EntryBatch.encode(
    head,
    Array.from({ length: count }, (_, i) => Entry.put("ns", `k${i}`, `value ${i} é😀`)),
    HybridLogicalClock.zero,
    1_700_000_000_000
  ).batch

const life = { incarnation, run: "00000000000000f1" as RunId.RunId, startedAt: 1_700_000_000_000 }
const vector = [
  { log, seq: 41, chain },
  { log: longestLog, seq: greatest, chain: "ffffffffffffffff" as Chain.Chain }
]
const hello: PeerProtocol.Hello = {
  version: PeerProtocol.versions[0],
  cluster: 'é😀\u0000"\\ notes',
  replica: longest,
  ...says(incarnation),
  members: { [longest]: life, [b]: { ...life, startedAt: 1.5 } },
  remembered: vector,
  vector,
  sentAt: 1_700_000_000_000.25
}
const welcome: PeerProtocol.Welcome = {
  cluster: "notes",
  replica: b,
  ...says(incarnation),
  voting: false,
  blank: true,
  vector,
  session: "k2j3h4",
  receivedAt: -1,
  sentAt: 0.5
}

const acker = {
  incarnation,
  members: 0xfedcba98,
  clock: { wallTime: 2 ** 48 - 1, logical: 2 ** 32 - 1 },
  voting: true
}

const utf8 = new TextEncoder()

/** The first byte of a frame that carries a message of a method. */
const kindOf = (name: PeerMethods.Name, part: "answer" | "error"): number => PeerMethods.methods[name][part].kinds[0]!

const pushed = { session: "k2j3h4", batch: batchOf({ log, seq: 41, chain }, 3) }
const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
const tracesOf = (count: number): ReadonlyArray<PeerProtocol.TraceContext> =>
  Array.from({ length: count }, (_, i) => ({ traceId, spanId: `00f067aa0ba902b${i}` }))

const requests: ReadonlyArray<readonly [what: string, request: PeerFrame.Request]> = [
  ["a handshake", { _tag: "hello", payload: hello }],
  ["a handshake of an empty replica", { _tag: "hello", payload: { ...hello, vector: [], cluster: "" } }],
  ["a push", { _tag: "push", payload: { session: "k2j3h4", batch: batchOf({ log, seq: 41, chain }, 3) } }],
  [
    "a push at the greatest place, of the longest names",
    {
      _tag: "push",
      payload: { session: "s".repeat(255), batch: batchOf({ log: longestLog, seq: greatest - 1, chain }, 1) }
    }
  ],
  ["a push of a trace", { _tag: "push", payload: { ...pushed, traces: tracesOf(1) } }],
  ["a push of as many traces as there may be", { _tag: "push", payload: { ...pushed, traces: tracesOf(8) } }],
  ["a push without a session", { _tag: "push", payload: { session: "", batch: batchOf({ log, seq: 0, chain }, 1) } }],
  ["a pull", { _tag: "pull", payload: { session: "s", log: longestLog, after: Number.MAX_SAFE_INTEGER, maxBytes: 1 } }]
]

const answers: ReadonlyArray<readonly [what: string, answer: PeerFrame.Answer]> = [
  ["a welcome", { _tag: "hello", result: Result.succeed(welcome) }],
  ...PeerProtocol.HandshakeRefused.fields.reason.literals.map(
    (reason) =>
      [
        `a handshake refused for ${reason}`,
        { _tag: "hello", result: Result.fail(new PeerProtocol.HandshakeRefused({ reason, detail: "é😀" })) }
      ] as const
  ),
  ["an ack", { _tag: "push", result: Result.succeed({ ...acker, replica: b, log, seq: 42, chain }) }],
  [
    "an ack of the greatest place, of the longest names",
    { _tag: "push", result: Result.succeed({ ...acker, replica: longest, log: longestLog, seq: greatest, chain }) }
  ],
  [
    "an ack of nothing by a replica that does not vote",
    {
      _tag: "push",
      result: Result.succeed({
        ...acker,
        replica: b,
        log,
        seq: 0,
        chain: Chain.empty,
        voting: false,
        members: 0,
        clock: HybridLogicalClock.zero
      })
    }
  ],
  ["a push of an unknown session", { _tag: "push", result: Result.fail(new PeerProtocol.SessionUnknown()) }],
  ["a rejected push", { _tag: "push", result: Result.fail(new PeerProtocol.PushRejected({ detail: "no" })) }],
  ["a gap", { _tag: "push", result: Result.fail(new ReplicaStore.AppendGap({ head: { log, seq: 7, chain } })) }],
  ["a drift", { _tag: "push", result: Result.fail(new ReplicaStore.AppendDrift({ log, seq: 7 })) }],
  ...ReplicaStore.StoreErrorReason.literals.flatMap((reason) => {
    const result = Result.fail(new ReplicaStore.StoreError({ reason, detail: "the disk" }))
    return [
      [`a push to a store that is ${reason}`, { _tag: "push", result }],
      [`a pull of a store that is ${reason}`, { _tag: "pull", result }]
    ] as const
  }),
  ["entries", { _tag: "pull", result: Result.succeed({ batch: batchOf({ log, seq: 41, chain }, 2) }) }],
  [
    "entries of the longest names",
    { _tag: "pull", result: Result.succeed({ batch: batchOf({ log: longestLog, seq: 2 ** 32, chain }, 1) }) }
  ],
  ["no entries", { _tag: "pull", result: Result.succeed({ batch: null }) }],
  ["a pull of an unknown session", { _tag: "pull", result: Result.fail(new PeerProtocol.SessionUnknown()) }]
]

/** Every frame, and how its receiver reads it. */
const frames: ReadonlyArray<
  readonly [what: string, frame: Uint8Array, decode: (frame: Uint8Array) => Result.Result<unknown, unknown>]
> = [
  ...requests.map(([what, request]) => [what, PeerFrame.encodeRequest(7, request), PeerFrame.decodeRequest] as const),
  ...answers.map(([what, answer]) => [what, PeerFrame.encodeAnswer(7, answer), PeerFrame.decodeAnswer] as const)
]

const malformed = (result: Result.Result<unknown, unknown>, what: string): string => {
  if (Result.isSuccess(result)) throw new Error(`${what}: read as ${JSON.stringify(result.success)}`)
  assert.instanceOf(result.failure, PeerFrame.MalformedFrame, what)
  assert.isNotEmpty(result.failure.detail, what)
  return result.failure.detail
}

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"))
const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex")

/** The bytes of entries that a read frame carries. */
const entriesOf = (read: unknown): EntryBatch.EntryBatch | undefined => {
  const { message } = read as PeerFrame.Numbered<PeerFrame.Request | PeerFrame.Answer>
  if ("payload" in message) return message._tag === "push" ? message.payload.batch : undefined
  return message._tag === "pull" && Result.isSuccess(message.result)
    ? (message.result.success.batch ?? undefined)
    : undefined
}

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

  it("a frame of another kind is malformed, unless it says the same for a push, a pull and a read", () => {
    for (const [what, frame, decode] of frames) {
      for (let kind = 0; kind < 256; kind++) {
        if (kind === frame[0]) continue
        const read = decode(Uint8Array.of(kind, ...frame.subarray(1)))
        const errors: ReadonlyArray<number> = [
          kindOf("push", "error"),
          kindOf("pull", "error"),
          kindOf("read", "error")
        ]
        const isShared = errors.includes(kind) && errors.includes(frame[0]!)
        if (!isShared || Result.isFailure(read)) malformed(read, `${what} as ${kind}`)
      }
    }
  })

  const head = (kind: number) => `${kind.toString(16).padStart(2, "0")}00000007`
  const text = (value: string) => value.length.toString(16).padStart(2, "0") + ascii(value)
  const place = "00000000002a"
  const count = "00000001"
  /** What an ack says of the acker, but for whether it votes. */
  const saysOfAcker = "fedcba98" + "00000000000a" + "0000000b"

  for (const [what, hex, detail] of [
    ["no bytes", "", /./],
    ["a head that is cut off", "0500", /./],
    ["kind 0", head(0), /0 is no kind of answer/],
    ["a kind of the future", head(11), /11 is no kind of answer/],
    ["nothing, and a byte", `${head(7)}00`, /1 bytes too many/],
    [
      "an ack, and two bytes",
      `${head(5)}${text("b")}${incarnation}${text(log)}${place}${chain}${saysOfAcker}010000`,
      /2 bytes too many/
    ],
    [
      "an ack that votes and does not",
      `${head(5)}${text("b")}${incarnation}${text(log)}${place}${chain}${saysOfAcker}02`,
      /2 is neither yes nor no/
    ],
    ["an ack of no replica", `${head(5)}${text("")}${text(log)}${place}${chain}`, /"" does not name a replica/],
    [
      "an ack of a log as replica",
      `${head(5)}${text(log)}${incarnation}${text(log)}${place}${chain}`,
      /does not name a replica/
    ],
    [
      "an ack of a replica as log",
      `${head(5)}${text("b")}${incarnation}${text("b")}${place}${chain}`,
      /"b" does not name a log/
    ],
    ["entries of no log", `${head(6)}${text("")}${place}${count}${chain}${chain}00`, /"" does not name a log/],
    [
      "entries of a long log",
      `${head(6)}${text(`a${longestLog}`)}${place}${count}${chain}${chain}00`,
      /not name a log/
    ],
    [
      "entries of a log beyond ASCII",
      `${head(6)}${text(`\u00e9${log}`)}${place}${count}${chain}${chain}`,
      /not name a/
    ],
    ["entries from 0", `${head(6)}${text(log)}000000000000${count}${chain}${chain}00`, /begins at 1 or later/],
    ["no entry", `${head(6)}${text(log)}${place}00000000${chain}${chain}`, /has an entry/],
    ["JSON that is none", `${head(4)}${ascii('{"cluster"')}`, /./],
    ["JSON of something else", `${head(4)}${ascii('{"cluster":"notes"}')}`, /./],
    ["an unknown error", `${head(9)}${ascii('{"_tag":"Later"}')}`, /./],
    ["bytes that are not UTF-8", `${head(9)}${ascii('{"_tag":"PushRejected","detail":"\u00ff"}')}`, /./]
  ] as const) {
    it(`${what}: malformed`, () => {
      assert.match(malformed(PeerFrame.decodeAnswer(bytesOf(hex)), what), detail)
    })
  }

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

  // Replicas of different versions read each other's frames: this layout changes only with the protocol's version.
  describe("the layout is what it has always been", () => {
    it("of a push", () => {
      const batch: EntryBatch.EntryBatch = {
        log,
        from: 2 ** 40 + 5,
        count: 3,
        prevChain: "0123456789abcdef" as Chain.Chain,
        chain: "fedcba9876543210" as Chain.Chain,
        bytes: Uint8Array.of(1, 2, 255)
      }
      const frame = PeerFrame.encodeRequest(0x01020304, { _tag: "push", payload: { session: "s1", batch } })
      assert.strictEqual(
        Buffer.from(frame).toString("hex"),
        "02" +
          "01020304" +
          "02" +
          "7331" +
          "12" +
          "614039663363353264306231653434613037" +
          "010000000005" +
          "00000003" +
          "0123456789abcdef" +
          "fedcba9876543210" +
          "0102ff"
      )
    })

    it("of a push that belongs to traces", () => {
      const payload = { session: "k2j3h4", batch: pushed.batch }
      const plain = Buffer.from(PeerFrame.encodeRequest(7, { _tag: "push", payload })).toString("hex")
      const said = PeerFrame.encodeRequest(7, { _tag: "push", payload: { ...payload, traces: tracesOf(2) } })
      const traces = `${traceId}00f067aa0ba902b001${traceId}00f067aa0ba902b101`
      assert.strictEqual(Buffer.from(said).toString("hex"), `${head(11)}02${traces}${plain.slice(10)}`)
    })

    it("of an ack", () => {
      const ack: PeerProtocol.Ack = {
        replica: b,
        incarnation,
        log,
        seq: 2 ** 33 + 7,
        chain: "fedcba9876543210" as Chain.Chain,
        members: 0x89abcdef,
        clock: { wallTime: 0x0102030405, logical: 0xa0b0c0d0 },
        voting: true
      }
      const frame = PeerFrame.encodeAnswer(0xfffffffe, { _tag: "push", result: Result.succeed(ack) })
      assert.strictEqual(
        Buffer.from(frame).toString("hex"),
        "05" +
          "fffffffe" +
          "01" +
          "62" +
          "9f3c52d0b1e44a07" +
          "12" +
          "614039663363353264306231653434613037" +
          "000200000007" +
          "fedcba9876543210" +
          "89abcdef" +
          "000102030405" +
          "a0b0c0d0" +
          "01"
      )
    })

    it("of a pull, of entries, of none, and of an error", () => {
      const hex = (frame: Uint8Array) => Buffer.from(frame).toString("hex")
      const batch: EntryBatch.EntryBatch = { log, from: 42, count: 1, prevChain: chain, chain, bytes: Uint8Array.of(9) }
      assert.strictEqual(
        hex(PeerFrame.encodeRequest(7, { _tag: "pull", payload: { session: "s", log, after: 3, maxBytes: 9 } })),
        head(3) + ascii(`{"session":"s","log":"${log}","after":3,"maxBytes":9}`)
      )
      assert.strictEqual(
        hex(PeerFrame.encodeAnswer(7, { _tag: "pull", result: Result.succeed({ batch }) })),
        `${head(6)}${text(log)}${place}${count}${chain}${chain}09`
      )
      assert.strictEqual(
        hex(PeerFrame.encodeAnswer(7, { _tag: "pull", result: Result.succeed({ batch: null }) })),
        head(7)
      )
      assert.strictEqual(
        hex(PeerFrame.encodeAnswer(7, { _tag: "push", result: Result.fail(new PeerProtocol.SessionUnknown()) })),
        head(9) + ascii('{"_tag":"SessionUnknown"}')
      )
    })
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
