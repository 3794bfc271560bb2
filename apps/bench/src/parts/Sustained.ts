/**
 * The part that goes on for a minute: throughput has to hold while the record index keeps up.
 */
import { Effect } from "effect"
import * as Course from "../Course.ts"
import type { Figure, Part } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Systems from "../Systems.ts"
import * as Tables from "./Tables.ts"

const table = Tables.part({
  name: "sustained",
  description: "60 s at 256 writers: throughput and the delay of the record index, each second",
  systems: [Systems.ceiling, Systems.ws, Systems.wsLmdb],
  writers: [Parts.writers],
  valueBytes: 128,
  keys: Parts.keys,
  seconds: 60,
  rounds: 1,
  everyMillis: 1000
})

/** A table with a course. */
export const sustained: Part = {
  ...table,
  run: (settings) =>
    Effect.map(table.run(settings), (outcome) => ({
      ...outcome,
      figures: outcome.samples.flatMap(({ points, round, system }): ReadonlyArray<Figure> => {
        const behind = Course.fallsBehind(points)
        return behind === undefined
          ? []
          : [
              { name: `${system}: index delay, highest`, unit: "entries", value: Course.highestDelay(points), round },
              {
                name: `${system}: what the index falls behind, of what is written`,
                unit: "share",
                value: behind,
                round
              }
            ]
      })
    }))
}
