/**
 * Names of runs: one for each time that a replica is started.
 */
import { Effect, Random, Schema } from "effect"

/** A random name of one run of a replica: 16 lower-case hexadecimal digits. */
export const RunId = Schema.String.check(
  Schema.isPattern(/^[0-9a-f]{16}$/, { message: "a run is named by 16 lower-case hexadecimal digits" })
).pipe(Schema.brand("@quorum/core/RunId"))

/** A random name of one run of a replica. */
export type RunId = typeof RunId.Type

/** The name of no run. */
export const none: RunId = "0000000000000000" as RunId

/** Draws a name from the `Random` service. */
export const make: Effect.Effect<RunId> = Effect.gen(function* () {
  let text = ""
  for (let i = 0; i < 4; i++) text += (yield* Random.nextIntBetween(0, 0xffff)).toString(16).padStart(4, "0")
  return text as RunId
})
