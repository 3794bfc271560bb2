/**
 * Makes a run that breaks a promise smaller: fewer kinds of faults, fewer clients, fewer operations, fewer replicas, as
 * long as the same promise is still broken. A smaller run is another run, so a few seeds are tried for each.
 */
import type { Outcome, Scenario } from "./Scenario.ts"

/** The scenarios that are a step smaller, the greatest steps first. */
const smaller = ({ nemesis, workload, ...rest }: Scenario): ReadonlyArray<Scenario> => {
  const found: Array<Scenario> = []
  const kinds = nemesis.kinds
  const withKinds = (chosen: typeof kinds) => found.push({ ...rest, workload, nemesis: { ...nemesis, kinds: chosen } })
  const withWork = (change: Partial<Scenario["workload"]>) =>
    found.push({ ...rest, nemesis, workload: { ...workload, ...change } })
  if (kinds.length > 0) withKinds([])
  if (kinds.length > 2) {
    withKinds(kinds.slice(kinds.length >> 1))
    withKinds(kinds.slice(0, kinds.length >> 1))
  }
  if (workload.clients > 1) withWork({ clients: workload.clients >> 1 })
  if (workload.operations > 1) withWork({ operations: workload.operations >> 1 })
  if (rest.replicas > 3) found.push({ ...rest, replicas: 3, nemesis, workload })
  if (kinds.length > 1) for (const kind of kinds) withKinds(kinds.filter((each) => each !== kind))
  if (workload.keys > 1) withWork({ keys: 1 })
  if (workload.clients > 1) withWork({ clients: workload.clients - 1 })
  if (workload.operations > 1) withWork({ operations: workload.operations - 1 })
  for (const chance of [
    "otherW",
    "stamps",
    "sessions",
    "weak",
    "followers",
    "carried",
    "pages",
    "keyed",
    "unsafe",
    "progress",
    "hasty",
    "drawsEach",
    "shared",
    "forgets",
    "together",
    "hot",
    "listings",
    "otherR"
  ] as const) {
    if ((workload[chance] ?? 0) > 0) withWork({ [chance]: 0 })
  }
  if (rest.skewMillis > 0) found.push({ ...rest, skewMillis: 0, nemesis, workload })
  if (rest.drift > 0) found.push({ ...rest, drift: 0, nemesis, workload })
  return found
}

/** The smallest scenario that was found to break a promise in at most so many runs. */
export const shrink = (
  scenario: Scenario,
  law: string,
  run: (scenario: Scenario) => Outcome,
  runs: number,
  seedsEach = 12
): Scenario => {
  let left = runs
  const breaks = (candidate: Scenario): Scenario | undefined => {
    for (let i = 0; i < seedsEach && left > 0; i++, left--) {
      const tried = { ...candidate, seed: candidate.seed + i }
      if (run(tried).violations.some((violation) => violation.law === law)) return tried
    }
    return undefined
  }
  let smallest = scenario
  let next: Scenario | undefined = scenario
  while (next !== undefined && left > 0) {
    smallest = next
    next = undefined
    for (const candidate of smaller(smallest)) {
      next = breaks(candidate)
      if (next !== undefined) break
    }
  }
  return next ?? smallest
}
