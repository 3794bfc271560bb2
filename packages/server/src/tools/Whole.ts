/** Numbers on a command line. */
import { Schema, SchemaTransformation } from "effect"
import { Flag } from "effect/cli"

/** A whole number, in decimal digits: `1e2` and `0x10` are not spellings of one. */
export const flag = (name: string, minimum: number, maximum: number) =>
  Flag.String(name).pipe(
    Flag.withSchema(
      Schema.String.check(Schema.isPattern(/^[0-9]{1,15}$/, { message: "it must be a whole number" })).pipe(
        Schema.decodeTo(
          Schema.Int.check(Schema.isBetween({ minimum, maximum })),
          SchemaTransformation.transform({ decode: Number, encode: String })
        )
      )
    )
  )
