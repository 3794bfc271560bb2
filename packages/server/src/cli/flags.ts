/**
 * Flags that several commands have.
 */
import { Option } from "effect"
import { Flag } from "effect/cli"
import { flagOf, names, settings, variableOf, type Name } from "../config/settings.ts"

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
