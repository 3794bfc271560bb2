/**
 * How the commands end: 0 when it is done, 1 when the answer was no, 2 when the command line or the settings cannot be
 * used, 3 when it is not known, or not yet, whether a write is committed, and 130 when it was interrupted.
 */
import { Cause, Console, Effect, Exit, Layer, Runtime, Schema } from "effect"
import { CliError, CliOutput } from "effect/cli"

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

/** Whether these arguments ask for JSON; what comes after `--` are none. */
export const isJson = (args: ReadonlyArray<string>): boolean => {
  const end = args.indexOf("--")
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--json" || arg === "--json=true")
}

/** For programs: what is wrong as a line of JSON on standard error, and nothing else on standard output. */
export const inJson = Layer.mergeAll(
  CliOutput.layer({
    ...CliOutput.defaultFormatter({ colors: false }),
    formatError: (error) => lineOf(error),
    formatErrors: (errors) => lineOf(...errors)
  }),
  CliOutput.layerPresenter({
    present: (event) =>
      event._tag === "InvalidInvocation"
        ? Console.error(lineOf(...event.errors))
        : CliOutput.defaultPresenter.present(event)
  })
)

/**
 * Standard output cannot be written. Whoever read it may have gone, as `head` does, and has what he wanted; else nobody has
 * the answer, and the command ends with 1, whatever it has done.
 */
export const unsaid = ({ code, message }: NodeJS.ErrnoException, json: boolean): void => {
  isOutputGone = true
  if (code === "EPIPE" || process.exitCode === 1) return
  process.exitCode = 1
  const detail = `standard output cannot be written: ${message}`
  process.stderr.write(json ? `${JSON.stringify({ error: "output_failed", message: detail })}\n` : `${detail}\n`)
}

/**
 * Where something is interrupted, says on standard error what it leaves and how to go on: a line, or one of JSON for
 * programs. Not where it is the output that ended it.
 */
export const leaving =
  (json: boolean, left: Effect.Effect<{ readonly message: string; readonly [field: string]: unknown }>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.onInterrupt(self, () =>
      Effect.flatMap(left, (said) => {
        if (isOutputGone) return Effect.void
        return Console.error(json ? JSON.stringify({ error: "interrupted", ...said }) : `interrupted: ${said.message}`)
      })
    )

/** Ends the process. A command that runs until it is stopped has ended well when a signal stops it in order. */
export const teardown =
  (runsUntilStopped: () => boolean): Runtime.Teardown =>
  (exit, onExit) =>
    Runtime.defaultTeardown(exit, (code) => {
      const isUsage = Exit.isFailure(exit) && CliError.isCliError(Cause.squash(exit.cause)) && code === 1
      const ended = isUsage ? 2 : code === interrupted && runsUntilStopped() ? 0 : code
      // That the output could not be written is told after it was.
      setImmediate(() => onExit(process.exitCode === 1 ? 1 : ended))
    })

// ---------------------------------------------------------------------------------------------------------------------

/** One line of what is wrong. `Usage` and what the command line is not are `invalid_usage`, all else has `failed`. */
const lineOf = (...errors: ReadonlyArray<CliError.CliError>): string => {
  const isFailed = errors.every((error) => error._tag === "UserError" && error.cause instanceof Failed)
  const message = errors.map((error) => error.message).join("\n")
  return JSON.stringify({ error: isFailed ? "failed" : "invalid_usage", message })
}

let isOutputGone = false

/** The exit code that Effect has for a program that was interrupted. */
const interrupted = 130
