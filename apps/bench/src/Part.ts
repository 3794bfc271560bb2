/**
 * A part of the benchmark: something that is measured as a whole, and yields samples and figures.
 */
import type { Effect, FileSystem, PlatformError } from "effect"
import type { Measured } from "./Bench.ts"
import type * as Child from "./Child.ts"

/** What the command line says to every part. */
export interface Settings {
  /** Shortens every part, to try it: what it finds means nothing. */
  readonly quick: boolean
  /** Names of the systems to measure, where a part has systems to choose from. */
  readonly only: ReadonlyArray<string> | undefined
  readonly writers: ReadonlyArray<number> | undefined
  readonly seconds: number | undefined
  readonly rounds: number | undefined
  readonly profile: string | undefined
  readonly say: (line: string) => Effect.Effect<void>
}

/** One number that a part found. */
export interface Figure {
  readonly name: string
  readonly unit: string
  readonly value: number
  readonly round: number
}

/** What a part found. */
export interface Outcome {
  readonly part: string
  readonly parameters: Readonly<Record<string, unknown>>
  /** The system that the others are compared with. */
  readonly against: string
  readonly samples: ReadonlyArray<Measured>
  readonly figures: ReadonlyArray<Figure>
  /** What the systems are, and which could not be measured, a line each. */
  readonly legend?: ReadonlyArray<string>
}

/** A part of the benchmark. */
export interface Part {
  readonly name: string
  readonly description: string
  readonly run: (
    settings: Settings
  ) => Effect.Effect<Outcome, Child.ProcessFailed | PlatformError.PlatformError, FileSystem.FileSystem>
}

/** How many writers the parts use that do not vary them. */
export const writers = 256

/** Entries are written under so many keys unless a part says otherwise. */
export const keys = 100_000

/** How long to measure, in seconds. */
export const seconds = (settings: Settings, usual: number): number => settings.seconds ?? (settings.quick ? 1 : usual)

/** How often to measure. */
export const rounds = (settings: Settings, usual: number): number => settings.rounds ?? (settings.quick ? 1 : usual)

/** How many commits to make. */
export const commits = (settings: Settings, usual: number): number => (settings.quick ? usual / 100 : usual)

/**
 * How long a system runs before its first measurement, in seconds, so that its code is compiled: that takes each of its
 * processes about a second of a processor, and three of them share two.
 */
export const rehearsal = ({ quick }: Settings): number => (quick ? 0 : 5)
