/** Lines that share a request, and what becomes of each when the request does not come to its end. */
import { assert, describe, it } from "@effect/vitest"
import { Entry, type StampToken, type WriteId } from "@quorum/core"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { Answer, Client } from "../src/Client.ts"
import type { Member } from "../src/DemoSet.ts"
import * as Group from "../src/Group.ts"

const [a, b] = [{ id: "a" } as Member, { id: "b" } as Member]
const put = (key: string) => Entry.put("n", key, "v")
/** Stamps that name their replica. */
const stamping: Client["stamp"] = (member, writes) =>
  Effect.succeed(writes.map(() => `@${member.id}` as StampToken.StampToken))
const committed = (key: string): Answer =>
  ({ _tag: "Committed", writeId: `w-${key}` as WriteId.WriteId }) as Extract<Answer, { _tag: "Committed" }>

/** A group of lines, and how to send it. What a request answers is given; it says what was asked, and of whom. */
const make = (keys: string, writeMany: Client["writeMany"], stamp: Client["stamp"] = stamping) => {
  const requests: Array<string> = []
  const stamped: Array<string> = []
  const told: Array<number | string> = []
  const client: Pick<Client, "resume" | "stamp" | "writeMany"> = {
    stamp: (member, writes) => {
      stamped.push(`${member.id}: ${writes.map(({ key }) => key).join()}`)
      return stamp(member, writes)
    },
    writeMany: (member, writes) => {
      requests.push(`${member.id}: ${writes.map(({ stamp, write: { key } }) => `${key}${stamp}`).join()}`)
      return writeMany(member, writes)
    },
    resume: (member, writeId) =>
      Effect.sync(() => {
        requests.push(`${member.id}: resume ${writeId}`)
        return committed(writeId)
      })
  }
  const group = Group.make([...keys].map((key, i) => ({ _tag: "Write", number: i + 1, write: put(key) })))
  const watcher: Group.Watcher = {
    onAsked: (writes) => told.push(writes),
    onAnswers: (answers) => told.push(answers.map(({ _tag }) => _tag).join())
  }
  return {
    group,
    requests,
    stamped,
    told,
    send: (member: Member) => Group.send(client as Client, member, group, watcher),
    resume: (member: Member) => Group.resume(client as Client, member, group, watcher, 1000),
    tags: () => group.answers.map(({ _tag }) => _tag)
  }
}

const answering: Client["writeMany"] = (_, writes) =>
  Stream.fromIterable(writes.map(({ write: { key } }, i) => [i, committed(key)] as const).toReversed())

describe("a group of lines", () => {
  it.effect("shares a request, and each line has its own answer", () =>
    Effect.gen(function* () {
      const { group, requests, send, stamped, told } = make("xyz", answering)
      yield* send(a)
      assert.deepStrictEqual(group.answers, [..."xyz"].map(committed))
      assert.deepStrictEqual(requests, ["a: x@a,y@a,z@a"])
      assert.deepStrictEqual(stamped, ["a: x,y,z"])
      assert.deepStrictEqual(group.open, [])
      assert.deepStrictEqual(told, [3, "Committed,Committed,Committed", ""])
    })
  )

  it.effect("has lines that are not known when its request ends before their answers, fails, or takes too long", () =>
    Effect.gen(function* () {
      const first = Stream.succeed([0, committed("x")] as const)
      const gone: Answer = { _tag: "Unreachable", detail: "nobody is there" }
      for (const [answers, second] of [
        [first, "Unknown"],
        [Stream.concat(first, Stream.fail(gone)), "Unreachable"],
        [Stream.concat(first, Stream.never), "Unknown"]
      ] as const) {
        const { group, send, tags, told } = make("xy", () => answers)
        const fiber = yield* Effect.forkChild(send(a))
        yield* TestClock.adjust(1)
        yield* TestClock.adjust(15_000)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(tags(), ["Committed", second])
        assert.deepStrictEqual(group.open, [1])
        assert.deepStrictEqual(told, [2, "Committed", second])
      }
    })
  )

  it.effect("keeps its stamps when what is open of it is sent again, to another replica too", () =>
    Effect.gen(function* () {
      const { requests, send, stamped, tags } = make("xyz", (member, writes) =>
        member === b ? answering(member, writes) : Stream.succeed([1, committed("y")] as const)
      )
      yield* send(a)
      yield* send(b)
      assert.deepStrictEqual(requests, ["a: x@a,y@a,z@a", "b: x@a,z@a"])
      assert.deepStrictEqual(stamped, ["a: x,y,z"])
      assert.deepStrictEqual(tags(), ["Committed", "Committed", "Committed"])
    })
  )

  it.effect("waits for the quorum of a line that has not met it, and does not send that again", () =>
    Effect.gen(function* () {
      const unmet = (writeId: string): Answer =>
        ({ _tag: "NotMet", writeId, got: 1, needed: 2, reason: "timeout", verdicts: {} }) as unknown as Answer
      const { group, requests, resume, send, told } = make("xy", () =>
        Stream.make([0, committed("x")] as const, [1, unmet("w")] as const)
      )
      yield* send(a)
      assert.deepStrictEqual(group.open, [1])
      yield* resume(a)
      assert.deepStrictEqual(group.open, [])
      assert.deepStrictEqual(requests, ["a: x@a,y@a", "a: resume w"])
      assert.deepStrictEqual(told, [2, "Committed,NotMet", "", 1, "Committed"])
    })
  )

  it.effect("is not sent when no stamps can be drawn for it", () =>
    Effect.gen(function* () {
      const gone: Answer = { _tag: "Unreachable", detail: "nobody is there" }
      for (const [stamp, answer] of [
        [Effect.fail(gone), "Unreachable"],
        [Effect.never, "Unavailable"]
      ] as const) {
        const { group, requests, send, tags } = make("k", answering, () => stamp)
        const fiber = yield* Effect.forkChild(send(a))
        yield* TestClock.adjust(1)
        yield* TestClock.adjust(5000)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(tags(), [answer])
        assert.deepStrictEqual(group.open, [0])
        assert.deepStrictEqual(requests, [])
      }
    })
  )
})
