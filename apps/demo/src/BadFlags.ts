/**
 * What a person sees who has mistyped a flag: one line, and the flag that was probably meant.
 */
import { Console } from "effect"
import { type CliError, CliOutput } from "effect/cli"

/** The line about what cannot be understood. */
export const lineOf = (command: string, errors: ReadonlyArray<CliError.NonShowHelpErrors>): string => {
  const said = errors.map((error) =>
    error._tag === "UnrecognizedOption"
      ? `there is no ${error.option}${error.suggestions.length === 0 ? "" : `, did you mean ${error.suggestions.join(" or ")}?`}`
      : error.message.split("\n")[0]!
  )
  return `${command}: ${Array.from(new Set(said)).join("; ")} (--help shows all flags)`
}

/** Says it in a line, instead of all that there is to know. */
export const layer = CliOutput.layerPresenter({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(lineOf(event.commandPath.join(" "), event.errors))
      : CliOutput.defaultPresenter.present(event)
})
