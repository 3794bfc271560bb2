/** A secret that is in a file, and is exchanged while it is used. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaId, ReplicaSet } from "../src/index.ts"
import { PeerChannel, PeerSecret } from "../src/adapter.ts"
import { Effect, FileSystem, Layer, Logger, PlatformError } from "effect"
import { TestClock } from "effect/testing"
import * as Codes from "./support/codes.ts"

const b = ReplicaId.make("b")
const old = "0123456789abcdef0123456789abcdef"
const next = "fedcba9876543210fedcba9876543210"

/** A member with a file of its own, which may be written, and what it logs. */
const member = Effect.fnUntraced(function* (self: string, start: string | undefined = old) {
  let text: string | undefined = start
  const said: Array<string> = []
  const missing = PlatformError.systemError({
    _tag: "NotFound",
    module: "FileSystem",
    method: "readFileString",
    pathOrDescriptor: "secret"
  })
  const files = FileSystem.layerNoop({
    readFileString: () => Effect.suspend(() => (text === undefined ? Effect.fail(missing) : Effect.succeed(text)))
  })
  const context = yield* PeerSecret.layerFile("secret").pipe(
    Layer.provide([files, Codes.layer, ReplicaSet.layer({ cluster: "test", self, members: ["a", "b", "c"] })]),
    Layer.provide(Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])),
    Layer.build
  )
  const secret = yield* Effect.provideContext(PeerSecret.PeerSecret, context)
  assert(secret !== undefined)
  const put = (now: string | undefined) =>
    Effect.suspend(() => {
      text = now
      return TestClock.adjust(1000)
    })
  return { secret, said, put }
})

/** A channel of one to the door of another. */
const channelTo = Effect.fnUntraced(function* (door: PeerChannel.Door, secret: PeerSecret.Secret) {
  const opening = PeerChannel.open(secret, b)
  const answer = door.received(opening.bytes)
  assert(answer?._tag === "Opened")
  return yield* opening.answered(answer.bytes)
})

let number = 0
const frame = () => Uint8Array.of(1, 0, 0, 0, ++number & 0xff, 7, 7, 7)

/** Sends a request over a channel, and what became of it at the called and at the caller. */
const ask = (door: PeerChannel.Door, channel: PeerChannel.Channel) => {
  const received = door.received(channel.seal(frame()))
  if (received?._tag !== "Request") return received?._tag ?? "nothing"
  return channel.open(received.seal(frame())) === undefined ? "no answer" : "answered"
}

describe("a secret in a file", () => {
  it.effect("is exchanged in three rounds, and at no moment does one member not get through to the other", () =>
    Effect.gen(function* () {
      const [caller, called] = [yield* member("a"), yield* member("b")]
      const door = PeerChannel.door(called.secret, 8)
      const first = yield* channelTo(door, caller.secret)
      for (const round of [`${old}\n${next}\n`, `${next}\n${old}\n`, `${next}\n`]) {
        for (const one of [called, caller]) {
          yield* one.put(round)
          assert.strictEqual(ask(door, yield* channelTo(door, caller.secret)), "answered", round)
        }
        // What was opened before goes on for as long as the secret counts by which it was.
        assert.strictEqual(ask(door, first), round.includes(old) ? "answered" : "Outdated")
      }
      const changes = caller.said.filter((line) => line.includes("have changed"))
      assert.lengthOf(changes, 3)
      assert.notInclude([...caller.said, ...called.said].join(), old.slice(0, 8))
    })
  )

  it.effect("L41 takes its channels along when it is gone, at either end, and those of the other stay", () =>
    Effect.gen(function* () {
      const [caller, called] = [yield* member("a", `${old}\n${next}`), yield* member("b", `${old}\n${next}`)]
      const door = PeerChannel.door(called.secret, 8)
      const before = yield* channelTo(door, caller.secret)
      yield* called.put(`${next}\n${old}`)
      const after = yield* channelTo(door, caller.secret)
      yield* caller.put(next)
      assert.deepStrictEqual([ask(door, before), ask(door, after)], ["no answer", "answered"])
      yield* called.put(next)
      assert.deepStrictEqual([ask(door, before), ask(door, after)], ["Outdated", "answered"])
    })
  )

  it.effect("stays what it was when what is there then cannot be used, which is said once", () =>
    Effect.gen(function* () {
      const [caller, called] = [yield* member("a"), yield* member("b")]
      const door = PeerChannel.door(called.secret, 8)
      const channel = yield* channelTo(door, caller.secret)
      for (const [now, why] of [
        ["", "0 bytes"],
        [`${old}\nshort`, "5 bytes"],
        [undefined, "NotFound"]
      ] as const) {
        yield* called.put(now)
        yield* called.put(now)
        assert.lengthOf(
          called.said.filter((line) => line.includes("stay what they were") && line.includes(why)),
          1
        )
        assert.strictEqual(ask(door, channel), "answered")
      }
      yield* called.put(`${old}\n`)
      assert.strictEqual(ask(door, channel), "answered")
      assert.lengthOf(called.said, 3)
    })
  )

  it.effect("has to be usable at the start", () =>
    Effect.gen(function* () {
      for (const [start, why] of [
        ["short", "5 bytes"],
        [undefined, "secret cannot be read (NotFound)"]
      ] as const) {
        const error = yield* Effect.flip(
          PeerSecret.layerFile("secret").pipe(
            Layer.provide(
              FileSystem.layerNoop({
                readFileString: () =>
                  start === undefined
                    ? Effect.fail(
                        PlatformError.systemError({ _tag: "NotFound", module: "FileSystem", method: "readFileString" })
                      )
                    : Effect.succeed(start)
              })
            ),
            Layer.provide([Codes.layer, ReplicaSet.layer({ cluster: "test", self: "a", members: ["a", "b"] })]),
            Layer.build
          )
        )
        assert(error instanceof PeerSecret.PeersUnproven)
        assert.include(error.message, why)
      }
    })
  )
})
