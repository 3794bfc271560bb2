/**
 * What a replica is built with, checked before anything is opened: a number that is none would never be heard of again.
 */
import { Duration, Effect, Option, Predicate, Schema } from "effect"
import type { Options } from "./parts.ts"

/** An option of a replica cannot be used; `option` is its name. Nothing was opened. */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>()("InvalidOptions", {
  option: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.option}: ${this.detail}`
  }
}

/** Fails with the first option that cannot be used, or is none. */
export const check = (options: Options): Effect.Effect<void, InvalidOptions> => {
  const other = Object.keys(options).find((name) => !known.has(name))
  if (other !== undefined) {
    const detail = `it is not known here; known are ${Array.from(known).join(", ")}`
    return Effect.fail(new InvalidOptions({ option: other, detail }))
  }
  for (const { is, expected, names } of rules) {
    for (const option of names) {
      const given: unknown = options[option]
      if (given === undefined || is(given)) continue
      return Effect.fail(new InvalidOptions({ option, detail: `${shown(given)} is not ${expected}` }))
    }
  }
  return Effect.void
}

// ---------------------------------------------------------------------------------------------------------------------

const isSpan = (given: unknown): boolean =>
  Option.exists(Duration.fromInput(given as Duration.Input), (span) => Duration.toMillis(span) > 0)

const isNumber = (given: unknown): given is number => typeof given === "number"

/** What a read may ask for, by namespaces. */
const isReads = (given: unknown): boolean =>
  Predicate.isObject(given) &&
  Object.values(given).every((each) => each === "local" || each === "quorum" || each === "linearizable")

const rules: ReadonlyArray<{
  readonly names: ReadonlyArray<keyof Options>
  readonly is: (given: unknown) => boolean
  readonly expected: string
}> = [
  {
    names: ["clockSkewWarn", "clockBound", "scrubEvery", "awayAfter"],
    is: isSpan,
    expected: 'a duration above zero, as "1 day"'
  },
  {
    names: ["compactionShare"],
    is: (given) => isNumber(given) && given >= 0 && given <= 1,
    expected: "a number from 0 to 1"
  },
  {
    names: ["reserveBytes"],
    is: (given) => Number.isSafeInteger(given) && (given as number) >= 0,
    expected: "a whole number of bytes, 0 for none"
  },
  {
    names: ["awayBytes"],
    is: (given) => isNumber(given) && given > 0,
    expected: "a number of bytes above zero"
  },
  {
    names: ["reads"],
    is: isReads,
    expected: 'namespaces, each with "local", "quorum" or "linearizable"'
  },
  {
    names: ["namespaces"],
    is: Predicate.isObject,
    expected: "namespaces, each with its policy"
  },
  {
    // Checked with the policies of the namespaces, and by its own error.
    names: ["policy"],
    is: () => true,
    expected: "a policy"
  }
]

const known: ReadonlySet<string> = new Set(rules.flatMap(({ names }) => names))

const shown = (given: unknown): string =>
  typeof given === "string" || Predicate.isObject(given) ? JSON.stringify(given) : String(given)
