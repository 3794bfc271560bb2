import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, ReplicaSet } from "../src/index.ts"
import { PeerChannel, PeerSecret } from "../src/adapter.ts"
import { Effect, Option, Redacted } from "effect"
import * as Codes from "./support/codes.ts"

const id = ReplicaId.make
const members = ["a", "b", "c"]
const shared = "0123456789abcdef0123456789abcdef"

/** What a member has of a secret. */
const secretOf = Effect.fnUntraced(function* (self: string, text = shared, cluster = "test") {
  return yield* Effect.gen(function* () {
    const secret = yield* PeerSecret.PeerSecret
    assert(secret !== undefined)
    return secret
  }).pipe(
    Effect.provide(PeerSecret.layer(Redacted.make(text))),
    Effect.provide([Codes.layer, ReplicaSet.layer({ cluster, self, members })])
  )
})

const doorOf = Effect.fnUntraced(function* (self: string, capacity = 4) {
  return PeerChannel.door(yield* secretOf(self), capacity)
})

/** A channel from a member to a door, which is b's unless said. */
const channelTo = Effect.fnUntraced(function* (door: PeerChannel.Door, self = "a", called = "b") {
  const opening = PeerChannel.open(yield* secretOf(self), id(called))
  const answer = door.received(opening.bytes)
  assert(answer?._tag === "Opened")
  return yield* opening.answered(answer.bytes)
})

/** A frame with a number. */
const frame = (number: number) => Uint8Array.of(1, 0, 0, number >> 8, number & 0xff, 7, 7, 7)

describe("PeerChannel", () => {
  it.effect("a request comes whole, from whom it says, and its answer goes back", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const channel = yield* channelTo(door)
      const received = door.received(channel.seal(frame(1)))
      assert(received?._tag === "Request")
      assert.deepStrictEqual([received.caller, Array.from(received.frame)], [id("a"), Array.from(frame(1))])
      const answer = channel.open(received.seal(frame(2)))
      assert.deepStrictEqual(answer && Array.from(answer), Array.from(frame(2)))
    })
  )

  it.effect("a request that is sent again is taken once", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const channel = yield* channelTo(door)
      const sealed = channel.seal(frame(1))
      assert.isDefined(door.received(sealed))
      assert.isDefined(door.received(channel.seal(frame(2))))
      assert.isUndefined(door.received(sealed))
    })
  )

  it.effect("an answer that is sent again is taken once", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const channel = yield* channelTo(door)
      const received = door.received(channel.seal(frame(1)))
      assert(received?._tag === "Request")
      const [first, second] = [received.seal(frame(1)), received.seal(frame(2))]
      assert.isDefined(channel.open(second))
      assert.isDefined(channel.open(first))
      for (const answer of [first, second]) assert.isUndefined(channel.open(answer))
    })
  )

  it.effect("no key makes codes of two messages with one number", () =>
    Effect.gen(function* () {
      const made = new Map<string, string>()
      const spied = (secret: PeerSecret.Secret): PeerSecret.Secret => ({
        ...secret,
        codes: {
          ...secret.codes,
          coder: (key) => {
            const coder = secret.codes.coder(key)
            return (number, data) => {
              const use = `${Buffer.from(key).toString("hex")} ${number}`
              const text = Buffer.from(data).toString("hex")
              assert.strictEqual(made.get(use) ?? text, text)
              made.set(use, text)
              return coder(number, data)
            }
          }
        }
      })
      const door = PeerChannel.door(spied(yield* secretOf("b")), 4)
      for (const self of ["a", "c", "a"]) {
        const opening = PeerChannel.open(spied(yield* secretOf(self)), id("b"))
        const answer = door.received(opening.bytes)
        assert(answer?._tag === "Opened")
        const channel = yield* opening.answered(answer.bytes)
        // Frames with one number of their own, as from a caller that counts on from the start.
        for (const each of [1, 1, 2]) {
          const received = door.received(channel.seal(frame(each)))
          assert(received?._tag === "Request")
          for (const said of [1, 2]) assert.isDefined(channel.open(received.seal(frame(said))))
        }
      }
      // Two directions of three channels, with 3 requests and 6 answers each.
      assert.strictEqual(made.size, 3 * (3 + 6))
    })
  )

  it.effect("requests may overtake each other, and old ones are not taken", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const channel = yield* channelTo(door)
      const sealed = Array.from({ length: 9000 }, () => channel.seal(frame(1)))
      const sent = (number: number) => door.received(sealed[number - 1]!)
      for (const number of [3, 1, 1025]) assert.isDefined(sent(number))
      assert.isUndefined(sent(1))
      assert.isDefined(sent(2))
      assert.isDefined(sent(9000))
      for (const number of [1, 2, 3, 4, 1025, 9000 - 1024]) assert.isUndefined(sent(number))
      assert.isDefined(sent(9000 - 1023))
    })
  )

  it.effect("no bit of a request or of an answer can be changed", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const channel = yield* channelTo(door)
      const sealed = channel.seal(frame(1))
      for (let at = 0; at < sealed.length; at++) {
        const changed = sealed.with(at, sealed[at]! ^ 1)
        assert.isUndefined(door.received(changed), `byte ${at}`)
        assert.isUndefined(door.received(sealed.subarray(0, at)), `cut off at ${at}`)
      }
      const received = door.received(sealed)
      assert(received?._tag === "Request")
      const answer = received.seal(frame(1))
      for (let at = 0; at < answer.length; at++) {
        assert.isUndefined(channel.open(answer.with(at, answer[at]! ^ 1)), `byte ${at}`)
        assert.isUndefined(channel.open(answer.subarray(0, at)), `cut off at ${at}`)
      }
    })
  )

  it.effect("a request is no answer, and an answer no request: nothing is reflected", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const channel = yield* channelTo(door)
      const sealed = channel.seal(frame(1))
      assert.isUndefined(channel.open(sealed.with(0, 0xc4)))
      const received = door.received(sealed)
      assert(received?._tag === "Request")
      assert.isUndefined(door.received(received.seal(frame(2)).with(0, 0xc3)))
    })
  )

  it.effect("a frame of one channel is none of another, though both have the same ends", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const [one, other] = [yield* channelTo(door), yield* channelTo(door)]
      const sealed = one.seal(frame(1))
      const name = other.seal(frame(1)).subarray(1, 17)
      const moved = Uint8Array.from(sealed)
      moved.set(name, 1)
      assert.isUndefined(door.received(moved))
      assert.isUndefined((yield* doorOf("b")).received(sealed))
    })
  )

  it.effect("an opening that is relayed to another member is not answered as the one that was called", () =>
    Effect.gen(function* () {
      const opening = PeerChannel.open(yield* secretOf("a"), id("b"))
      const answer = (yield* doorOf("c")).received(opening.bytes)
      assert(answer?._tag === "Opened")
      const error = yield* Effect.flip(opening.answered(answer.bytes))
      assert.strictEqual(error.reason, "invalid_answer")
    })
  )

  it.effect("who does not know the secret, or shares it with another set, is nobody in either direction", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      for (const theirs of [yield* secretOf("a", shared.toUpperCase()), yield* secretOf("a", shared, "other")]) {
        const opening = PeerChannel.open(theirs, id("b"))
        const answer = door.received(opening.bytes)
        assert(answer?._tag === "Opened")
        yield* Effect.flip(opening.answered(answer.bytes))
        const foreign = { ...theirs, members: { ...theirs.members, self: id("b"), peers: [id("a"), id("c")] } }
        const imposter = PeerChannel.door(foreign, 4)
        const call = PeerChannel.open(yield* secretOf("a"), id("b"))
        const claimed = imposter.received(call.bytes)
        assert(claimed?._tag === "Opened")
        yield* Effect.flip(call.answered(claimed.bytes))
      }
    })
  )

  it.effect("an answer to an opening that was seen before opens nothing", () =>
    Effect.gen(function* () {
      const secret = yield* secretOf("a")
      const seen = (yield* doorOf("b")).received(PeerChannel.open(secret, id("b")).bytes)
      assert(seen?._tag === "Opened")
      yield* Effect.flip(PeerChannel.open(secret, id("b")).answered(seen.bytes))
    })
  )

  it.effect("the proof that everybody sees makes no codes", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const secret = yield* secretOf("a")
      const opened = door.received(PeerChannel.open(secret, id("b")).bytes)
      assert(opened?._tag === "Opened")
      const bytes = Uint8Array.of(0xc3, ...opened.bytes.subarray(1, 17), 0, 0, 0, 0, 0, 1, ...frame(1))
      const code = secret.codes.coder(opened.bytes.slice(17))(1, bytes)
      assert.isUndefined(door.received(Uint8Array.of(...bytes, ...code)))
    })
  )

  it.effect("an opening by a stranger, by itself or by nobody is not answered, and neither is a bare frame", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const secret = yield* secretOf("a")
      for (const self of ["d", "b", ""]) {
        const members = { ...secret.members, self: self as ReplicaId.ReplicaId }
        assert.isUndefined(door.received(PeerChannel.open({ ...secret, members }, id("b")).bytes))
      }
      for (const bytes of [frame(1), new Uint8Array(0), Uint8Array.of(0xc1), Uint8Array.of(0xc3, 1, 2)]) {
        assert.isUndefined(door.received(bytes))
      }
    })
  )

  it.effect("openings that nobody uses push out no channel in use (law L63)", () =>
    Effect.gen(function* () {
      const door = yield* doorOf("b")
      const channel = yield* channelTo(door)
      assert.isDefined(door.received(channel.seal(frame(1))))
      const stale = yield* channelTo(door)
      for (let i = 0; i < 4; i++) yield* channelTo(door, "c")
      assert.isDefined(door.received(channel.seal(frame(2))))
      assert.isUndefined(door.received(stale.seal(frame(1))))
    })
  )

  it.effect("a secret is exchanged one member at a time: whoever has the first of the other's gets through", () =>
    Effect.gen(function* () {
      const next = "fedcba9876543210fedcba9876543210"
      const steps = [shared, `${shared}\n${next}\n`, `${next}\r\n${shared}`, next]
      const gets = Effect.fnUntraced(function* (calling: string, called: string) {
        const door = PeerChannel.door(yield* secretOf("b", called), 4)
        const opening = PeerChannel.open(yield* secretOf("a", calling), id("b"))
        const answer = door.received(opening.bytes)
        assert(answer?._tag === "Opened")
        const channel = yield* Effect.option(opening.answered(answer.bytes))
        if (Option.isNone(channel)) return false
        const received = door.received(channel.value.seal(frame(1)))
        assert(received?._tag === "Request")
        assert.isDefined(channel.value.open(received.seal(frame(1))))
        return true
      })
      for (const [i, one] of steps.entries()) {
        for (const [j, other] of steps.entries()) {
          // Within a step of each other all do, in both directions; beyond that those that do not know what is proved do not.
          const known = one.includes(other.slice(0, 32))
          assert.strictEqual(yield* gets(one, other), known, `${i} calls ${j}`)
          if (Math.abs(i - j) <= 1) assert.isTrue(known)
        }
      }
      assert.isFalse(yield* gets(shared, next))
      const short = yield* Effect.flip(secretOf("a", `${shared}\nshort`))
      assert(short instanceof PeerSecret.PeersUnproven)
    })
  )

  it.effect("a secret of 31 bytes is refused, one of 32 is taken", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(secretOf("a", shared.slice(1)))
      assert(error instanceof PeerSecret.PeersUnproven)
      assert.include(error.message, "31 bytes")
      yield* secretOf("a", shared)
    })
  )

  it("what proves nothing is asked for by name, and listens on loopback alone", () => {
    const peers = { peers: [ReplicaId.make("b")] }
    const alone = { peers: [] }
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.evil.example", "replica.example"]) {
      for (const insecure of [true, false]) {
        for (const members of [peers, alone]) {
          assert.include(PeerSecret.objection({ host, proves: false, insecure }, members), "on loopback only")
        }
      }
      assert.isUndefined(PeerSecret.objection({ host, proves: true, insecure: false }, peers))
    }
    for (const host of ["127.0.0.1", "127.8.8.8", "::1", "localhost"]) {
      assert.include(PeerSecret.objection({ host, proves: false, insecure: false }, peers), "insecure: true")
      assert.isUndefined(PeerSecret.objection({ host, proves: false, insecure: false }, alone))
      assert.isUndefined(PeerSecret.objection({ host, proves: false, insecure: true }, peers))
      assert.isUndefined(PeerSecret.objection({ host, proves: true, insecure: false }, peers))
      assert.include(PeerSecret.objection({ host, proves: true, insecure: true }, peers), "take one of both away")
    }
  })
})
