/**
 * The keys whose newest version lies beyond what a clock may follow, with the clocks of these versions. Normally empty.
 *
 * An entry that was stamped by a clock far ahead moves no other clock, and so a later write of its key would be the
 * older one; here such a write finds what it has to come after. When the time gets there, the clock is followed, and
 * the keys are forgotten.
 */
import { Schema } from "effect"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

/** Keys and the clocks of their newest versions, where those are far ahead. */
export interface FarVersions {
  /** How many keys; those that found no room count as one. */
  readonly size: () => number
  /** Takes in a version of a key. */
  readonly add: (namespace: string, key: string, clock: Clock) => void
  /** The clock after which a write of the key has to come; `undefined` when any will do. */
  readonly of: (namespace: string, key: string) => Clock | undefined
  /** Forgets the versions that are no later than `limitMillis`, and returns the highest of their clocks. */
  readonly settle: (limitMillis: number) => Clock | undefined
  /** The table as text; see {@link make}. */
  readonly format: () => string
}

/** The most keys. Beyond that they are not told apart: every key then comes after all those that found no room. */
export const maxKeys = 1024

/** The table that `text` says, or an empty one. Throws at text that is no table. */
export const make = (text = '{"keys":[],"rest":null}'): FarVersions => {
  const decoded = decode(text)
  const clocks = new Map<string, Clock>(decoded.keys.map(({ clock, key, namespace }) => [id(namespace, key), clock]))
  let rest = decoded.rest ?? undefined
  return {
    size: () => clocks.size + (rest === undefined ? 0 : 1),
    add: (namespace, key, clock) => {
      const name = id(namespace, key)
      const known = clocks.get(name)
      if (known === undefined && clocks.size >= maxKeys) rest = later(rest, clock)
      else clocks.set(name, later(known, clock))
    },
    of: (namespace, key) => {
      const known = clocks.get(id(namespace, key))
      return known === undefined || rest === undefined ? (known ?? rest) : later(known, rest)
    },
    settle: (limitMillis) => {
      let highest: Clock | undefined
      for (const [name, clock] of clocks) {
        if (clock.wallTime > limitMillis) continue
        clocks.delete(name)
        highest = later(highest, clock)
      }
      if (rest === undefined || rest.wallTime > limitMillis) return highest
      highest = later(highest, rest)
      rest = undefined
      return highest
    },
    format: () => {
      const keys = Array.from(clocks, ([name, clock]) => {
        const [namespace, key] = name.split(separator) as [string, string]
        return { namespace, key, clock }
      })
      return encode({ keys, rest: rest ?? null })
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const Table = Schema.fromJsonString(
  Schema.Struct({
    keys: Schema.Array(
      Schema.Struct({ namespace: Schema.String, key: Schema.String, clock: HybridLogicalClock.HybridLogicalClock })
    ),
    rest: Schema.NullOr(HybridLogicalClock.HybridLogicalClock)
  })
)
const decode = Schema.decodeUnknownSync(Table)
const encode = Schema.encodeSync(Table)

/** No name has it: see `Limits`. */
const separator = "\0"

const id = (namespace: string, key: string): string => namespace + separator + key

const later = (a: Clock | undefined, b: Clock): Clock =>
  a === undefined || HybridLogicalClock.compare(b, a) > 0 ? b : a
