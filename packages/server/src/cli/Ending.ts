/**
 * How the commands end: 0 when it is done, 1 when the answer was no, 2 when the command line or the settings cannot be
 * used, 3 when it is not known, or not yet, whether a write is committed, and 130 when it was interrupted.
 */
import { Cause, Exit, Runtime, Schema } from "effect"
import { CliError } from "effect/cli"

/** The command has said what it has to say, and ends with this code. */
export class Ended extends Schema.TaggedError<Ended>()("Ended", { code: Schema.Int }) {
  override readonly [Runtime.errorReported] = false
  override get [Runtime.errorExitCode](): number {
    return this.code
  }
}

/** What a command was given cannot be used. */
export class Usage extends Schema.TaggedError<Usage>()("Usage", { detail: Schema.String }) {
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    return this.detail
  }
  override get [CliError.userMessage](): string {
    return this.detail
  }
}

/** It did not work. `detail` says what is known, and what to do. */
export class Failed extends Schema.TaggedError<Failed>()("Failed", {
  detail: Schema.String,
  code: Schema.optionalKey(Schema.Int)
}) {
  override get [Runtime.errorExitCode](): number {
    return this.code ?? 1
  }
  override get message(): string {
    return this.detail
  }
  override get [CliError.userMessage](): string {
    return this.detail
  }
}

/** Ends the process. A command that runs until it is stopped has ended well when a signal stops it in order. */
export const teardown =
  (runsUntilStopped: () => boolean): Runtime.Teardown =>
  (exit, onExit) =>
    Runtime.defaultTeardown(exit, (code) => {
      if (Exit.isFailure(exit) && CliError.isCliError(Cause.squash(exit.cause)) && code === 1) return onExit(2)
      return onExit(code === interrupted && runsUntilStopped() ? 0 : code)
    })

// ---------------------------------------------------------------------------------------------------------------------

/** The exit code that Effect has for a program that was interrupted. */
const interrupted = 130
