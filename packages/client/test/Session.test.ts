import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Session from "../src/Session.ts"

/** What replicas make of tokens: here each is a list of what was done, and they are joined. */
const seenBy = (text: string | undefined): ReadonlySet<string> =>
  new Set(text === undefined ? [] : text.split(", ").flatMap((token) => token.split("+")))

const answered = (sent: string | undefined, done: number) => [...seenBy(sent), `${done}`].sort().join("+")

describe("a session", () => {
  it("says nothing at first, and then what was answered last", () => {
    const session = Session.make()
    assert.isUndefined(session.text())
    session.learn(undefined, "a")
    session.learn("a", "b")
    session.learn("b", null)
    session.learn("b", undefined)
    assert.strictEqual(session.text(), "b")
  })

  it("keeps what requests side by side learnt, until one has said both", () => {
    const session = Session.make()
    session.learn(undefined, "a")
    session.learn(undefined, "b")
    session.learn(undefined, "b")
    assert.strictEqual(session.text(), "a, b")
    session.learn("a, b", "c")
    assert.strictEqual(session.text(), "c")
  })

  it("stays short when very many are side by side, and keeps the last", () => {
    const session = Session.make()
    for (let i = 0; i < 1000; i++) session.learn(undefined, `${i}`.padStart(100, "x"))
    assert.isBelow(session.text()!.length, 4097)
    assert.isTrue(session.text()!.endsWith("999"))
  })

  it.prop(
    "forgets nothing that was answered, in whatever order requests are sent and answered",
    { order: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })))) },
    ({ order }) => {
      const session = Session.make()
      const underWay = new Map<number, string | undefined>()
      const done = new Set<string>()
      for (const [i, slot] of order.entries()) {
        if (!underWay.has(slot)) underWay.set(slot, session.text())
        else {
          const sent = underWay.get(slot)
          underWay.delete(slot)
          session.learn(sent, answered(sent, i))
          done.add(`${i}`)
        }
        for (const each of done) assert.isTrue(seenBy(session.text()).has(each))
      }
    }
  )
})
