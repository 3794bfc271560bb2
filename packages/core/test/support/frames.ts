/** Frames of the peer protocol, each with what it carries. */
import { assert } from "@effect/vitest"
import { Result } from "effect"
import { Entry, HybridLogicalClock, LogId, ReplicaId, WriteId } from "../../src/index.ts"
import {
  Chain,
  EntryBatch,
  PeerFrame,
  PeerMethods,
  PeerProtocol,
  ReplicaStore,
  type RunId,
  type Watermark
} from "../../src/adapter.ts"
import { says } from "./greeting.ts"

export const b = ReplicaId.make("b")
export const incarnation = "9f3c52d0b1e44a07" as LogId.Incarnation
export const log = LogId.make(ReplicaId.make("a"), incarnation)
export const longest = ReplicaId.make(`Z${"._-9".repeat(15)}xyz`)
export const longestLog = LogId.make(longest, incarnation)
export const chain = "0123456789abcdef" as Chain.Chain
/** The greatest sequence that a frame holds. */
export const greatest = 2 ** 48 - 1

export const batchOf = (head: Watermark.Watermark, count: number) =>
  EntryBatch.encode(
    head,
    Array.from({ length: count }, (_, i) => Entry.put("ns", `k${i}`, `value ${i} é😀`)),
    HybridLogicalClock.zero,
    1_700_000_000_000
  ).batch

export const life = { incarnation, starts: 2, run: "00000000000000f1" as RunId.RunId, startedAt: 1_700_000_000_000 }
export const vector = [
  { log, seq: 41, chain },
  { log: longestLog, seq: greatest, chain: "ffffffffffffffff" as Chain.Chain }
]
export const hello: PeerProtocol.Hello = {
  version: PeerProtocol.versions[0],
  cluster: 'é😀\u0000"\\ notes',
  replica: longest,
  ...says(incarnation),
  members: { [longest]: life, [b]: { ...life, startedAt: 1.5 } },
  remembered: vector,
  vector,
  sentAt: 1_700_000_000_000.25
}
export const welcome: PeerProtocol.Welcome = {
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

export const acker = {
  incarnation,
  members: 0xfedcba98,
  clock: { wallTime: 2 ** 48 - 1, logical: 2 ** 32 - 1 },
  voting: true
}

const probed: PeerProtocol.Probed = {
  clock: acker.clock,
  members: acker.members,
  far: true,
  versions: [
    { index: 0, clock: acker.clock },
    { index: 7, clock: { wallTime: 0, logical: 0 } }
  ]
}

export const utf8 = new TextEncoder()

/** The first byte of a frame that carries a message of a method. */
export const kindOf = (name: PeerMethods.Name, part: "answer" | "error"): number =>
  PeerMethods.methods[name][part].kinds[0]!

export const pushed = { session: "k2j3h4", batch: batchOf({ log, seq: 41, chain }, 3) }
export const traceId = "4bf92f3577b34da6a3ce929d0e0e4736"
export const tracesOf = (count: number): ReadonlyArray<PeerProtocol.TraceContext> =>
  Array.from({ length: count }, (_, i) => ({ traceId, spanId: `00f067aa0ba902b${i}` }))

export const requests: ReadonlyArray<readonly [what: string, request: PeerFrame.Request]> = [
  ["a probe", { _tag: "probe", payload: { session: "s1", keys: [] } }],
  ["a probe of keys", { _tag: "probe", payload: { session: "s1", keys: [{ namespace: "n", key: "ключ" }] } }],
  ["a verify", { _tag: "verify", payload: { session: "s1", writeId: WriteId.make(log, 7, 0x123abcd) } }],
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

export const answers: ReadonlyArray<readonly [what: string, answer: PeerFrame.Answer]> = [
  ["a probed", { _tag: "probe", result: Result.succeed({ ...probed, versions: [] }) }],
  ["a probed of keys", { _tag: "probe", result: Result.succeed(probed) }],
  ["a probe without a vote", { _tag: "probe", result: Result.fail(new PeerProtocol.NotVoting()) }],
  ["a verified", { _tag: "verify", result: Result.succeed({ state: "superseded", members: 0xfedcba98 }) }],
  ["a verify without a vote", { _tag: "verify", result: Result.fail(new PeerProtocol.NotVoting()) }],
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
export const frames: ReadonlyArray<
  readonly [what: string, frame: Uint8Array, decode: (frame: Uint8Array) => Result.Result<unknown, unknown>]
> = [
  ...requests.map(([what, request]) => [what, PeerFrame.encodeRequest(7, request), PeerFrame.decodeRequest] as const),
  ...answers.map(([what, answer]) => [what, PeerFrame.encodeAnswer(7, answer), PeerFrame.decodeAnswer] as const)
]

export const malformed = (result: Result.Result<unknown, unknown>, what: string): string => {
  if (Result.isSuccess(result)) throw new Error(`${what}: read as ${JSON.stringify(result.success)}`)
  assert.instanceOf(result.failure, PeerFrame.MalformedFrame, what)
  assert.isNotEmpty(result.failure.detail, what)
  return result.failure.detail
}

export const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"))
export const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex")

/** The bytes of entries that a read frame carries. */
export const entriesOf = (read: unknown): EntryBatch.EntryBatch | undefined => {
  const { message } = read as PeerFrame.Numbered<PeerFrame.Request | PeerFrame.Answer>
  if ("payload" in message) return message._tag === "push" ? message.payload.batch : undefined
  return message._tag === "pull" && Result.isSuccess(message.result)
    ? (message.result.success.batch ?? undefined)
    : undefined
}
