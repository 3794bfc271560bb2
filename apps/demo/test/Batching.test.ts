/** Writes that share a request, and what becomes of each when the request does not come to its end. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, type StampToken, type WriteId } from "@quorum/core"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Batching from "../src/Batching.ts"
import type { Answer, Client } from "../src/Client.ts"
import type { Member } from "../src/Cluster.ts"

const [a, b] = [{ id: "a" } as Member, { id: "b" } as Member]
const put = (key: string) => Entry.put("n", key, "v")
/** Stamps that name their replica. */
const stamping: Client["stamp"] = (member, writes) =>
  Effect.succeed(writes.map(() => `@${member.id}` as StampToken.StampToken))
const committed = (key: string): Answer =>
  ({ _tag: "Committed", writeId: `w-${key}` as WriteId.WriteId }) as Extract<Answer, { _tag: "Committed" }>

/** A client whose writes share requests. What a request answers is given; it says what was asked, and of whom. */
const make = Effect.fnUntraced(function* (writeMany: Client["writeMany"], stamp: Client["stamp"] = stamping) {
  const requests: Array<string> = []
  const stamped: Array<string> = []
  const inner: Pick<Client, "stamp" | "write" | "writeMany"> = {
    stamp: (member, writes) => {
      stamped.push(`${member.id}: ${writes.map(({ key }) => key).join()}`)
      return stamp(member, writes)
    },
    write: (member: Member, { key }: Entry.Write, w?: number) =>
      Effect.sync(() => {
        requests.push(`${member.id}: ${key} on ${w}`)
        return committed(key)
      }),
    writeMany: (member, writes) => {
      requests.push(`${member.id}: ${writes.map(({ stamp, write: { key } }) => `${key}${stamp}`).join()}`)
      return writeMany(member, writes)
    }
  }
  return { client: yield* Batching.make(inner as Client, [a, b]), requests, stamped }
})

const answering: Client["writeMany"] = (_, writes) =>
  Stream.fromIterable(writes.map(({ write: { key } }, i) => [i, committed(key)] as const).toReversed())

const writing = (client: Client, member: Member, keys: string) =>
  Effect.forEach([...keys], (key) => client.write(member, put(key)), { concurrency: "unbounded" })

describe("writes that are asked for at the same time", () => {
  it.effect("share a request to their replica, and each has its own answer", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* make(answering)
      const all = yield* Effect.all([writing(client, a, "xyz"), writing(client, b, "uv")], { concurrency: 2 })
      assert.deepStrictEqual(all, [[..."xyz"].map(committed), [..."uv"].map(committed)])
      assert.sameMembers(requests, ["a: x@a,y@a,z@a", "b: u@b,v@b"])
      yield* client.write(a, put("k"), 3)
      assert.strictEqual(requests.at(-1), "a: k on 3")
    })
  )

  it.effect("are not known when their request ends before their answers, fails, or takes too long", () =>
    Effect.gen(function* () {
      const first = Stream.succeed([0, committed("x")] as const)
      const gone: Answer = { _tag: "Unreachable", detail: "nobody is there" }
      for (const [answers, second] of [
        [first, "Unknown"],
        [Stream.concat(first, Stream.fail(gone)), "Unreachable"],
        [Stream.concat(first, Stream.never), "Unknown"]
      ] as const) {
        const { client } = yield* make(() => answers)
        const fiber = yield* Effect.forkChild(writing(client, a, "xy"))
        yield* TestClock.adjust(1)
        yield* TestClock.adjust(15_000)
        const found = yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          found.map(({ _tag }) => _tag),
          ["Committed", second]
        )
      }
    })
  )

  it.effect("keep their stamps when they are asked for again, at another replica too", () =>
    Effect.gen(function* () {
      const { client, requests, stamped } = yield* make(answering)
      const write = put("k")
      yield* client.write(a, write)
      yield* Effect.all([client.write(b, write), client.write(b, put("l"))], { concurrency: 2 })
      assert.deepStrictEqual(requests, ["a: k@a", "b: k@a,l@b"])
      assert.deepStrictEqual(stamped, ["a: k", "b: l"])
    })
  )

  it.effect("are not sent when no stamps can be drawn for them", () =>
    Effect.gen(function* () {
      const gone: Answer = { _tag: "Unreachable", detail: "nobody is there" }
      for (const [stamp, answer] of [
        [Effect.fail(gone), "Unreachable"],
        [Effect.never, "Unavailable"]
      ] as const) {
        const { client, requests } = yield* make(answering, () => stamp)
        const fiber = yield* Effect.forkChild(client.write(a, put("k")))
        yield* TestClock.adjust(1)
        yield* TestClock.adjust(5000)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, answer)
        assert.deepStrictEqual(requests, [])
      }
    })
  )

  it.effect("wait while as many requests as may be are under way, and are sent when one ends", () =>
    Effect.gen(function* () {
      const { client, requests } = yield* make((member, writes) =>
        Stream.fromEffect(Effect.sleep(100)).pipe(Stream.flatMap(() => answering(member, writes)))
      )
      const fibers = []
      for (const key of "12345678") {
        fibers.push(yield* Effect.forkChild(client.write(a, put(key))))
        yield* TestClock.adjust(1)
      }
      assert.deepStrictEqual(requests, ["a: 1@a", "a: 2@a"])
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(requests.slice(2), ["a: 3@a,4@a,5@a,6@a,7@a,8@a"])
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [..."12345678"].map(committed))
    })
  )
})
