/**
 * What the suites have in common: cases as data, the reasons of those that are skipped, and the run under vitest.
 */
import { describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, type Scope } from "effect"

/** One thing that every implementation of a port has to do. It fails when the implementation does not. */
export interface Case<R> {
  /** A lower-case sentence; unique within its suite. */
  readonly name: string
  readonly run: Effect.Effect<void, unknown, R | Scope.Scope>
}

/** A case that an implementation cannot pass, and why that is right. */
export interface Skip {
  /** The name of the case, exactly. */
  readonly case: string
  /** Why the case does not apply. It is shown in the report. */
  readonly reason: string
}

/** How a suite is run. */
export interface Options {
  /** The cases that do not apply, each with its reason. A name that is no case's is an error. */
  readonly skip?: ReadonlyArray<Skip>
  /** How long one case may take, in milliseconds; 15,000 unless given. */
  readonly timeoutMillis?: number
}

/** Makes a case. */
export const make = <R>(name: string, run: Effect.Effect<void, unknown, R | Scope.Scope>): Case<R> => ({ name, run })

/** Runs one case on an implementation of its own, made by the layer and gone when the case ends; logs nothing. */
export const run = <R, E>(self: Case<R>, layer: Layer.Layer<R, E>): Effect.Effect<void, unknown> =>
  self.run.pipe(Effect.scoped, Effect.provide(Layer.merge(Layer.fresh(layer), Logger.layer([])))) as Effect.Effect<
    void,
    unknown
  >

/**
 * What is wrong with the skipped cases; empty when nothing is. A name that is no case's, a case that is named twice, a
 * reason that says nothing, and a list that leaves no case.
 */
export const checkSkips = (cases: ReadonlyArray<Case<never>>, skips: ReadonlyArray<Skip>): ReadonlyArray<string> => {
  const names = new Set(cases.map(({ name }) => name))
  const seen = new Set<string>()
  const problems: Array<string> = []
  for (const { case: name, reason } of skips) {
    if (!names.has(name)) problems.push(`there is no case ${JSON.stringify(name)}`)
    if (seen.has(name)) problems.push(`the case ${JSON.stringify(name)} is skipped twice`)
    if (reason.trim() === "") problems.push(`the case ${JSON.stringify(name)} is skipped without a reason`)
    seen.add(name)
  }
  if (cases.every(({ name }) => seen.has(name))) problems.push("no case is left")
  return problems
}

/**
 * Registers the cases with vitest, in a group of the given name. Skipped cases appear in the report with their reason.
 * Throws when the skips are not in order, so that a misspelt name cannot select nothing and pass.
 */
export const register = <R, E>(
  name: string,
  cases: ReadonlyArray<Case<R>>,
  layer: Layer.Layer<R, E>,
  options: Options = {}
): void => {
  const skips = options.skip ?? []
  const problems = checkSkips(cases as ReadonlyArray<Case<never>>, skips)
  if (problems.length > 0) throw new Error(`${name}: ${problems.join("; ")}`)
  const reasons = new Map(skips.map((skip) => [skip.case, skip.reason]))
  const timeout = options.timeoutMillis ?? 15_000
  describe(name, () => {
    for (const each of cases) {
      const reason = reasons.get(each.name)
      if (reason === undefined) it.live(each.name, () => run(each, layer), timeout)
      else it.skip(`${each.name} (${reason})`, () => Effect.void)
    }
  })
}
