/**
 * What stands in queries and headers.
 */
import { StampToken } from "@quorum/core"
import { Schema, SchemaTransformation } from "effect"
import * as openApi from "./openApi.ts"

/** A number of a query: decimal digits, and none of the other spellings that `Number` takes (`1e0`, `0x1`, ` 1`). */
export const whole = (bounds: { readonly minimum: number; readonly maximum?: number }) =>
  Schema.optionalKey(
    Schema.String.check(
      Schema.isPattern(/^[0-9]{1,15}$/, { message: "it must be a whole number in decimal digits" })
    ).pipe(
      Schema.decodeTo(
        Schema.Int.check(Schema.isBetween({ maximum: Number.MAX_SAFE_INTEGER, ...bounds })),
        SchemaTransformation.transform({ decode: Number, encode: String })
      )
    )
  )

/** `true` or `false`, in no other spelling. */
export const yesOrNo = Schema.optionalKey(
  Schema.Literals(["true", "false"]).pipe(
    Schema.decodeTo(
      Schema.Boolean,
      SchemaTransformation.transform({
        decode: (text) => text === "true",
        encode: (is): "true" | "false" => (is ? "true" : "false")
      })
    )
  )
)

/** How many replicas a read asks, and for what. */
export const consistency = {
  consistency: Schema.optionalKey(Schema.Literals(["local", "quorum", "linearizable"])),
  r: whole(openApi.bounds.r)
}

/** A write that may be repeated says its stamp. */
export const stamped = { "quorum-stamp": Schema.optionalKey(StampToken.StampToken) }

/** A string of a structured header (RFC 9651): in quotes, with a backslash before quotes and backslashes. */
const quoted = /^"((?:[^"\\]|\\["\\])*)"$/

/** A key that a client invented, in quotes, as the draft of `Idempotency-Key` has it, or without. */
const InventedKey = Schema.String.pipe(
  Schema.decodeTo(
    Schema.String.check(
      Schema.isPattern(/^[\x21-\x7e]{1,255}$/, {
        message: "it is 1 to 255 visible characters of ASCII, in quotes or not, and is said once"
      })
    ),
    SchemaTransformation.transform({
      decode: (text) => quoted.exec(text)?.[1]?.replaceAll(/\\(.)/g, "$1") ?? text,
      encode: (key) => `"${key.replaceAll(/["\\]/g, "\\$&")}"`
    })
  )
)

/** A write that may be repeated under a key of its client says that. */
export const keyed = { "idempotency-key": Schema.optionalKey(InventedKey) }
