/**
 * Charts as SVG files. Vega-Lite draws them without a browser and without native code; the 25 MB that it brings are those
 * of a private app. It is loaded only when there is something to draw.
 */
import { join } from "node:path"
import { Effect, FileSystem } from "effect"
import type { TopLevelSpec } from "vega-lite"

/** A chart and the name of its file. */
export interface Chart {
  readonly name: string
  readonly spec: TopLevelSpec
}

/** Writes each chart to `<folder>/<name>.svg` and returns the paths. */
export const write = Effect.fnUntraced(function* (charts: ReadonlyArray<Chart>, folder: string) {
  const fs = yield* FileSystem.FileSystem
  yield* fs.makeDirectory(folder, { recursive: true })
  const paths: Array<string> = []
  for (const { name, spec } of charts) {
    const svg = yield* Effect.promise(() => draw(spec))
    const path = join(folder, `${name}.svg`)
    yield* fs.writeFileString(path, `${svg}\n`)
    paths.push(path)
  }
  return paths
})

// ---------------------------------------------------------------------------------------------------------------------

const draw = async (spec: TopLevelSpec): Promise<string> => {
  const [vega, vegaLite] = await Promise.all([import("vega"), import("vega-lite")])
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), { renderer: "none" })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}
