/** Text in bytes. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Bytes from "../src/log/Bytes.ts"

describe("the bytes of a text", () => {
  const units = [
    "a",
    "\u007f",
    "\u0080",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ud800",
    "\udbff",
    "\udc00",
    "\udfff",
    "\uffff"
  ]
  const Text = Arbitrary.schema(Schema.Array(Schema.Literals(units)))

  it.prop(
    "are as many as they are when they are made, for pairs and for halves of pairs too",
    { text: Text },
    (given) => {
      const text = given.text.join("")
      assert.strictEqual(Bytes.sizeOfText(text), Bytes.ofText(text).length, JSON.stringify(text))
    }
  )

  it.prop(
    "are those of a text that they would be read as, and of no other",
    {
      text: Text,
      other: Text,
      odd: Arbitrary.schema(Schema.Array(Schema.Literals([0x61, 0x7f, 0x80, 0xc3, 0xe9, 0xff])))
    },
    ({ odd, other, text }) => {
      const texts = [text.join(""), other.join(""), "a", "\u00e9", "\u00e9a"]
      for (const bytes of [Bytes.ofText(texts[0]!), Uint8Array.from(odd)]) {
        for (const one of texts) {
          const within = Uint8Array.from([1, ...bytes, 2])
          const expected = Bytes.decodeText(bytes, 0, bytes.length) === one
          assert.strictEqual(Bytes.isOf(one, within, 1, 1 + bytes.length), expected, JSON.stringify([one, ...bytes]))
        }
      }
    }
  )
})
