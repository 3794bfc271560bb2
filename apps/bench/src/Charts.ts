/**
 * Charts of a run: what is drawn of which part. Pure functions of the result.
 */
import * as CourseCharts from "./charts/CourseCharts.ts"
import * as FigureCharts from "./charts/FigureCharts.ts"
import * as TableCharts from "./charts/TableCharts.ts"
import type { Outcome } from "./Part.ts"
import type { Result } from "./Result.ts"
import type { Chart } from "./Svg.ts"

/** All charts for which a run has measurements. */
export const of = ({ machine, outcomes }: Result): ReadonlyArray<Chart> => {
  const { at, cpu, cpus, node } = machine.begin
  const note = `${cpus} × ${cpu}, Node ${node}, ${at.slice(0, 10)}`
  return outcomes.flatMap((outcome) => ofPart(outcome, note))
}

// ---------------------------------------------------------------------------------------------------------------------

const ofPart = (outcome: Outcome, note: string): ReadonlyArray<Chart> => {
  if (outcome.part === "reads" && outcome.figures.length > 0) return FigureCharts.reads(outcome, note)
  if (outcome.samples.length === 0) return []
  switch (outcome.part) {
    case "sustained":
      return [CourseCharts.sustained(outcome, note)]
    case "growth":
      return [CourseCharts.growth(outcome, note)]
    case "peer-down":
      return [CourseCharts.peerDown(outcome, note)]
    case "catch-up":
      return [CourseCharts.catchUp(outcome, note)]
    default:
      return TableCharts.of(outcome, note)
  }
}
