import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Option, Schema } from "effect"
import { ClientSession, LogId, ReplicaId, WriteId } from "../src/index.ts"

const logs = ["a", "b", "c"].map((id) => LogId.make(ReplicaId.make(id), "0123456789abcdef" as LogId.Incarnation))

/** Few clocks and places, so that two often meet. */
const Few = Schema.Struct({
  wall: Schema.Literals([0, 1, 1_700_000_000_000]),
  logical: Schema.Literals([0, 1]),
  places: Schema.Array(
    Schema.Tuple([Schema.Literals([0, 1, 2]), Schema.Literals([1, 2, 300]), Schema.Literals([0, 9])])
  )
})
const few = Arbitrary.schema(Few)

const sessionOf = ({ logical, places, wall }: typeof Few.Type): ClientSession.ClientSession => {
  const clock = { wallTime: wall, logical }
  return places.reduce<ClientSession.ClientSession>(
    (session, [log, seq, check]) =>
      ClientSession.join(session, ClientSession.ofWrite({ clock, writeId: WriteId.make(logs[log]!, seq, check) })),
    { ...ClientSession.empty, clock }
  )
}

const { decode, encode, join } = ClientSession

const fromText = Schema.decodeUnknownOption(ClientSession.FromText)

describe("ClientSession", () => {
  it.prop(
    "joins to the same, in whatever order and however often, and knows all of both",
    { x: few, y: few, z: few },
    (drawn) => {
      const [x, y, z] = [sessionOf(drawn.x), sessionOf(drawn.y), sessionOf(drawn.z)]
      assert.deepStrictEqual(join(x, y), join(y, x))
      assert.deepStrictEqual(join(join(x, y), z), join(x, join(y, z)))
      assert.deepStrictEqual(join(x, x), x)
      assert.deepStrictEqual(join(x, ClientSession.empty), x)
      assert.isTrue(ClientSession.is(join(x, y)))
      for (const id of [...x.places, ...y.places]) {
        const { log, seq } = WriteId.place(id)
        const known = join(x, y)
          .places.map(WriteId.place)
          .filter((place) => place.log === log)
        assert.strictEqual(known.length, 1)
        assert.isAtLeast(known[0]!.seq, seq)
      }
    }
  )

  it.prop("is text and the same again, and several are joined", { x: few, y: few }, (drawn) => {
    const [x, y] = [sessionOf(drawn.x), sessionOf(drawn.y)]
    assert.deepStrictEqual(decode(encode(x)), Option.some(x))
    assert.deepStrictEqual(Schema.encodeSync(ClientSession.FromText)(x), encode(x))
    assert.deepStrictEqual(fromText(`${encode(x)}, ${encode(y)}`), Option.some(join(x, y)))
    assert.isTrue(/^[!-+--~]*$/.test(encode(x)), "it can stand in a list of header values")
  })

  it.prop("is not read when a character of it is another", { at: few, from: few }, ({ at, from }) => {
    const token = encode(sessionOf(from))
    const i = (at.wall + 7 * at.places.length) % token.length
    const other = token.slice(0, i) + (token[i] === "5" ? "6" : "5") + token.slice(i + 1)
    assert.deepStrictEqual(decode(other), Option.none())
  })

  it("is not made of what is no token", () => {
    const [one, two] = [1, 2].map((seq) => WriteId.make(logs[0]!, seq, 0))
    const twice = encode({ clock: { wallTime: 1, logical: 0 }, places: [one!, two!] })
    const many = encode({ ...ClientSession.empty, places: Array.from({ length: 400 }, () => one!) })
    for (const token of ["", "1", "1.0.0", encode(ClientSession.empty).replace("1", "2"), twice, many, 5, undefined]) {
      assert.deepStrictEqual(decode(token), Option.none(), String(token))
    }
    const token = encode(ClientSession.empty)
    for (const text of ["", `${token},`, `${token};`, Array.from({ length: 600 }, () => token).join(",")]) {
      assert.deepStrictEqual(fromText(text), Option.none(), text)
    }
    assert.isFalse(ClientSession.is({ ...ClientSession.empty, places: [two, one] }))
    const { proxy, revoke } = Proxy.revocable({ ...ClientSession.empty }, {})
    revoke()
    assert.isFalse(ClientSession.is(proxy))
  })
})
