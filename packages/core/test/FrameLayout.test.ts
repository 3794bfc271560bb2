/** The bytes of frames, written out, and what is malformed among them. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import type { Chain, EntryBatch } from "../src/adapter.ts"
import { PeerFrame, PeerProtocol } from "../src/adapter.ts"
import {
  b,
  incarnation,
  log,
  longestLog,
  chain,
  pushed,
  traceId,
  tracesOf,
  malformed,
  bytesOf,
  ascii
} from "./support/frames.ts"

describe("PeerFrame", () => {
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

    it("of a push that is ahead of its sender's disk", () => {
      const payload = { session: "k2j3h4", batch: pushed.batch, durable: 2 ** 40 + 3 }
      const { durable: _, ...durably } = payload
      const hexOf = (push: PeerProtocol.Push) =>
        Buffer.from(PeerFrame.encodeRequest(7, { _tag: "push", payload: push })).toString("hex")
      const plain = hexOf(durably)
      assert.strictEqual(hexOf(payload), `${head(15)}010000000003${plain.slice(10)}`)
      const traces = `01${traceId}00f067aa0ba902b001`
      assert.strictEqual(
        hexOf({ ...payload, traces: tracesOf(1) }),
        `${head(16)}${traces}010000000003${plain.slice(10)}`
      )
      for (const push of [payload, { ...payload, traces: tracesOf(1) }, { ...payload, durable: 0 }]) {
        const frame = PeerFrame.encodeRequest(7, { _tag: "push", payload: push })
        assert.deepStrictEqual(Result.getOrThrow(PeerFrame.decodeRequest(frame)).message, {
          _tag: "push",
          payload: push
        })
      }
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
})
