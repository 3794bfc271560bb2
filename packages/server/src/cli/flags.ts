/**
 * Flags that several commands have.
 */
import { Option, Schema, SchemaTransformation } from "effect"
import { Flag } from "effect/cli"
import { flagOf, names, settings, variableOf, type Name } from "../config/settings.ts"

/** A whole number, in decimal digits: `1e2` and `0x10` are not spellings of one. */
export const whole = (name: string, minimum: number, maximum: number) =>
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

/** A flag for every setting; what it is given is read with the variables and the file. */
export const settingFlags = Object.fromEntries(
  names.map((name) => {
    const { description, metavar } = settings[name]
    return [
      name,
      Flag.String(flagOf(name).slice(2)).pipe(
        Flag.withMetavar(metavar),
        Flag.withDescription(`${description} [${variableOf(name)}]`),
        Flag.optional
      )
    ]
  })
) as { readonly [N in Name]: Flag.Flag<Option.Option<string>> }

/** Those that were given, by the names of settings. */
export const givenOf = (flags: { readonly [N in Name]?: Option.Option<string> }): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(flags).flatMap(([name, value]) =>
      value !== undefined && Option.isSome(value) ? [[name, value.value]] : []
    )
  )

/** For programs. */
export const json = Flag.Boolean("json").pipe(Flag.withDescription("Print JSON, for programs"), Flag.withDefault(false))
