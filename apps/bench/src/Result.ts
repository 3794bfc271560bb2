/**
 * All that one run of the benchmark found, as it is written to a file.
 */
import * as Goals from "./Goals.ts"
import type { Machine } from "./Machine.ts"
import type { Outcome } from "./Part.ts"
import * as Report from "./Report.ts"
import * as Rows from "./Rows.ts"

/** One run. */
export interface Result {
  /** How it was called. */
  readonly command: string
  /** The machine at the begin and at the end. */
  readonly machine: { readonly begin: Machine; readonly end: Machine }
  readonly outcomes: ReadonlyArray<Outcome>
}

/** The tables of a part, and what is in them. */
export const tables = ({ against, figures, legend, samples }: Outcome): string =>
  [
    ...(samples.length === 0 ? [] : [Report.table(Rows.rows(samples, against), against)]),
    ...(figures.length === 0 ? [] : [Report.figures(Rows.figureRows(figures))]),
    ...(legend === undefined ? [] : [legend.map((line) => `- ${line}`).join("\n")])
  ].join("\n\n")

/** The goals that a run says something about. */
export const goals = ({ outcomes }: Result): ReadonlyArray<Goals.Verdict> => Goals.verdicts(outcomes)

/** As it is written to a file, with what follows from it. */
export const encode = (result: Result): string =>
  `${JSON.stringify(
    {
      ...result,
      goals: goals(result).map(({ goal, holds, value }) => ({
        name: goal.name,
        part: goal.part,
        is: goal.is,
        bound: goal.bound,
        unit: goal.unit,
        ...value,
        holds
      }))
    },
    undefined,
    2
  )}\n`
