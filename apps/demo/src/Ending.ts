/**
 * How the programs of the demo end.
 */
import { Runtime, Schema } from "effect"

/** The run is over, and not everything held. The report has said what. */
export class NotHeld extends Schema.TaggedError<NotHeld>()("NotHeld", {}) {
  override readonly [Runtime.errorReported] = false
}

/** The exit code that Effect has for a program that was interrupted. */
const interrupted = 130

/**
 * Ends the process. A signal that was followed by an orderly stop is no failure, unless the program has said before that
 * it failed: with --keep Ctrl-C does not change how the run went.
 */
export const teardown: Runtime.Teardown = (exit) =>
  Runtime.defaultTeardown(exit, (code) => process.exit(code === interrupted ? (process.exitCode ?? 0) : code))
