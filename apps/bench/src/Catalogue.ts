/**
 * All systems that can be measured: Quorum's, the ceiling, and what a user would pick instead.
 */
import * as Others from "./others/Others.ts"
import type { System } from "./System.ts"
import * as Systems from "./Systems.ts"

/** What a user would pick instead. */
export const others: ReadonlyArray<System> = Others.all

/** All systems. */
export const all: ReadonlyArray<System> = [...Systems.all, ...others]

/** Parts systems into those that can be started here, and lines about those that cannot. */
export const installed = (systems: ReadonlyArray<System>) => {
  const here: Array<System> = []
  const missing: Array<string> = []
  for (const system of systems) {
    const lacks = system.missing?.()
    if (lacks === undefined) here.push(system)
    else missing.push(`${system.name} is not measured: ${lacks}`)
  }
  return { here, missing }
}
