/**
 * What is said of a metric, and the bounds that histograms share.
 */

/** What a metric is called and what it says. */
export interface Definition {
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  /** `s`, `By`, a thing that is counted in braces, or `1`. */
  readonly unit: string
  readonly help: string
  /** The attributes of its series. Their values are words of this package and ids of configured replicas, no others. */
  readonly attributes: ReadonlyArray<Attribute>
  /** The upper bounds of a histogram. */
  readonly bounds?: ReadonlyArray<number>
}

/** The attributes that are used. */
export type Attribute =
  | "quorum.outcome"
  | "quorum.peer"
  | "quorum.replica"
  | "quorum.log"
  | "quorum.direction"
  | "error.type"
  | "result"
  | "reason"
  | "peer"

/** Half a millisecond to ten seconds, in seconds. */
export const durations = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
/** What is counted in one batch. */
export const counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
/** 256 bytes to 4 MiB. */
export const sizes = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304]

/** A table of metrics by the names that the code uses. */
export const define = <const T extends Record<string, Definition>>(table: T): { readonly [K in keyof T]: Definition } =>
  table
