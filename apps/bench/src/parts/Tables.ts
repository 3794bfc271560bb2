/**
 * The parts that compare systems with each other by numbers of writers.
 */
import { Effect } from "effect"
import * as Bench from "../Bench.ts"
import * as Catalogue from "../Catalogue.ts"
import type { Outcome, Part, Settings } from "../Part.ts"
import * as Parts from "../Part.ts"
import * as Replicas from "../Replicas.ts"
import type { System } from "../System.ts"
import * as Systems from "../Systems.ts"

/** What sets one table apart from another. */
interface Table extends Omit<Part, "run"> {
  /** The systems unless others are asked for. */
  readonly systems: ReadonlyArray<System>
  /** Whether others can be asked for. */
  readonly fixed?: boolean
  readonly against?: string
  readonly writers: ReadonlyArray<number>
  readonly valueBytes: number
  readonly keys: number
  readonly seconds: number
  readonly rounds: number
  readonly everyMillis?: number
}

/** The systems that a table measures when `only` is given. */
const chosen = ({ fixed, systems }: Pick<Table, "fixed" | "systems">, only: Settings["only"]) =>
  only === undefined || fixed === true ? systems : Catalogue.all.filter(({ name }) => only.includes(name))

/** A part that measures a table. */
export const part = (table: Table): Part => ({
  name: table.name,
  description: table.description,
  run: Effect.fnUntraced(function* (settings) {
    const { here, missing } = Catalogue.installed(chosen(table, settings.only))
    for (const line of missing) yield* settings.say(line)
    const options = {
      writers: settings.writers ?? table.writers,
      rounds: Parts.rounds(settings, table.rounds),
      rehearsal: Parts.rehearsal(settings),
      warmup: 1,
      seconds: Parts.seconds(settings, table.seconds),
      valueBytes: table.valueBytes,
      keys: table.keys,
      ...(table.everyMillis === undefined ? {} : { everyMillis: table.everyMillis })
    }
    const { profile, say } = settings
    const samples = yield* Bench.run({ ...options, systems: here, profile, say })
    const parameters = { ...options, systems: here.map(({ name }) => name), missing }
    const against = table.against ?? Systems.ceiling.name
    const legend = [...here.map(({ description, name }) => `${name}: ${description}`), ...missing]
    return { part: table.name, parameters, against, samples, figures: [], legend } satisfies Outcome
  })
})

const usual = { valueBytes: 128, keys: Parts.keys, seconds: 5, rounds: 3 }

/** The table of the goals. */
export const commits = part({
  ...usual,
  name: "commits",
  description: "commits by systems and writers, 128-byte values, random keys",
  systems: [
    Systems.ceiling,
    Systems.ws,
    Systems.wsLmdb,
    Systems.http,
    Systems.core,
    Systems.client,
    Systems.gathering,
    ...Catalogue.others
  ],
  writers: [1, 16, 64, 256, 1024]
})

/** Larger values. */
export const values = part({
  ...usual,
  name: "values",
  description: "the same with 1-KiB values at 256 writers",
  systems: [Systems.ceiling, Systems.ws, Systems.http],
  writers: [Parts.writers],
  valueBytes: 1024
})

/** Keys that are written again and again. */
export const hot = part({
  ...usual,
  name: "hot",
  description: "256 writers on 100 hot keys",
  systems: [Systems.ceiling, Systems.ws],
  writers: [Parts.writers],
  keys: 100
})

const policyOf = (n: number, w: number): System =>
  Systems.quorum(`W=${w} of N=${n}`, `ws, W = ${w} of N = ${n}`, { ...Replicas.usual, n, w })

const usualPolicy = policyOf(3, 2)

/** Other policies. */
export const policies = part({
  ...usual,
  name: "policies",
  description: "ws with W = 1, 2 and 3 of N = 3, and majorities of N = 5 and N = 7, at 256 writers",
  systems: [usualPolicy, policyOf(3, 1), policyOf(3, 3), policyOf(5, 3), policyOf(7, 4)],
  fixed: true,
  against: usualPolicy.name,
  writers: [Parts.writers]
})
