/**
 * Charts of figures, as bars.
 */
import type { TopLevelSpec } from "vega-lite"
import type { Outcome } from "../Part.ts"
import * as Rows from "../Rows.ts"
import type { Chart } from "../Svg.ts"
import { base, flat } from "./Style.ts"

/** How fast a replica reads, and for how long that holds its event loop; the stores beside each other. */
export const reads = ({ figures, part }: Outcome, note: string): ReadonlyArray<Chart> => {
  const bars = (name: string, title: string, x: string, whatOf: (row: Rows.FigureRow) => string | undefined): Chart => {
    const values = Rows.figureRows(figures).flatMap((row) => {
      const [store, what] = whatOf(row)?.split(": ") ?? []
      return what === undefined ? [] : [{ store, what, ...flat("value", row.value) }]
    })
    return {
      name,
      spec: {
        ...base(title, note),
        width: 560,
        height: { step: 28 },
        data: { values },
        encoding: {
          y: { field: "what", type: "nominal", title: null, sort: null, axis: { labelLimit: 240 } },
          yOffset: { field: "store", type: "nominal", sort: null }
        },
        layer: [
          {
            mark: { type: "bar" },
            encoding: {
              x: { field: "value", type: "quantitative", title: x },
              color: { field: "store", type: "nominal", title: null, sort: null }
            }
          },
          {
            mark: { type: "rule", strokeWidth: 1.5 },
            encoding: { x: { field: "valueMin", type: "quantitative" }, x2: { field: "valueMax" } }
          }
        ]
      } as unknown as TopLevelSpec
    }
  }
  return [
    bars(part, "Reads of a replica of 1,000,000 records", "records per second", ({ name, unit }) =>
      unit === "records/s" ? name : undefined
    ),
    bars(`${part}-held`, "Event loop of that replica, held", "milliseconds at most", ({ name }) =>
      name.endsWith(atMost) ? name.slice(0, -atMost.length) : undefined
    )
  ]
}

// ---------------------------------------------------------------------------------------------------------------------

const atMost = ", loop held, at most"
