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
})
