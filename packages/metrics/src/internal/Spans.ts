/**
 * Options that are durations.
 */
import { Duration, Option } from "effect"

/**
 * Throws at the first of these options that is no duration above zero: whatever is done so often would be done all the
 * time, or never.
 */
export const check = (options: Readonly<Record<string, Duration.Input | undefined>>): void => {
  for (const [option, given] of Object.entries(options)) {
    if (given === undefined) continue
    const span = Option.getOrUndefined(Duration.fromInput(given))
    if (span !== undefined && Duration.toMillis(span) > 0) continue
    const shown = typeof given === "string" ? JSON.stringify(given) : String(given)
    throw new RangeError(`${option}: ${shown} is not a duration above zero, as "10 seconds"`)
  }
}
