/**
 * The series of the metrics as plain cells: an update is some arithmetic, and Effect's registry reads the cells when
 * somebody asks. Updating Effect's metrics themselves would look each of them up in the registry, and a histogram could
 * only take one value at a time, where an event here speaks of a whole batch.
 */
import { type Context, Metric } from "effect"
import { type Attribute, definitions, type Key } from "../Definitions.ts"

/** The attributes of one series. */
export type Attributes = Partial<Record<Attribute, string>>

/** A count that only grows. */
export interface Counter {
  readonly add: (amount: number) => void
}

/** A distribution. */
export interface Histogram {
  /** Counts a value, `times` times. */
  readonly record: (value: number, times: number) => void
}

/** Makes series in the registry of a context. */
export const make = (context: Context.Context<never>) => {
  const registrations: Array<Metric.Registration> = []

  const counter = (key: Key, attributes: Attributes = {}): Counter => {
    const metric = Metric.counter(definitions[key].name, { ...optionsOf(key, attributes), incremental: true })
    let count = 0
    Metric.registerUnsafe(
      metric,
      context,
      reading(() => ({ count, incremental: true }))
    )
    return { add: (amount) => void (count += amount) }
  }

  const histogram = (key: Key, attributes: Attributes = {}): Histogram => {
    const boundaries = definitions[key].bounds ?? []
    const metric = Metric.histogram(definitions[key].name, { ...optionsOf(key, attributes), boundaries })
    const counts = new Float64Array(boundaries.length + 1)
    const state = { count: 0, min: 0, max: 0, sum: 0 }
    const buckets = (): ReadonlyArray<[number, number]> => {
      let below = 0
      return boundaries.map((bound, i) => [bound, (below += counts[i]!)])
    }
    Metric.registerUnsafe(
      metric,
      context,
      reading(() => ({ ...state, buckets: buckets() }))
    )
    return {
      record: (value, times) => {
        let i = 0
        while (i < boundaries.length && value > boundaries[i]!) i++
        counts[i]! += times
        state.min = state.count === 0 ? value : Math.min(state.min, value)
        state.max = state.count === 0 ? value : Math.max(state.max, value)
        state.count += times
        state.sum += value * times
      }
    }
  }

  /** A value that is looked up when somebody asks for it. */
  const gauge = (key: Key, value: () => number, attributes: Attributes = {}): void => {
    const metric = Metric.gauge(definitions[key].name, optionsOf(key, attributes))
    registrations.push(
      Metric.registerUnsafe(
        metric,
        context,
        reading(() => ({ value: value() }))
      )
    )
  }

  return {
    counter,
    histogram,
    gauge,
    /** Takes the gauges back, whose source goes away. What was counted stays, for the last export. */
    close: (): void => {
      for (const registration of registrations) registration.remove()
    }
  }
}

/** Makes series. */
export type Series = ReturnType<typeof make>

// ---------------------------------------------------------------------------------------------------------------------

/** Effect's exporters take the unit from an attribute of this name. */
const optionsOf = (key: Key, attributes: Attributes) => ({
  description: definitions[key].help,
  attributes: { ...attributes, unit: definitions[key].unit }
})

const reading = <State>(get: () => State) => ({ get, update: () => undefined, modify: () => undefined })
