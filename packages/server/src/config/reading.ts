/**
 * Settings out of several sources: the first that has one wins, and what is wrong with any of them is said with the name
 * that it has there. Pure.
 */
import { Result, Schema, SchemaIssue } from "effect"
import { flagOf, type Given, type Name, names, settings, variableOf } from "./settings.ts"

/** A value that was given, and where: `--port`, `QUORUM_PORT`, `"port" in quorum.json`. */
export interface Found {
  readonly value: unknown
  readonly source: string
  /** Whether it is text, as a flag and a variable are. */
  readonly isText: boolean
}

/** What one source has, by the names of settings. */
export type Source = ReadonlyMap<string, Found>

/** Something wrong with a setting. */
export interface Problem {
  /** Where it was given. */
  readonly source: string
  readonly detail: string
}

/** Settings with the places where they were given. */
export interface Read {
  readonly given: Given
  /** Where a setting was given; what it would be called on the command line when it was not. */
  readonly sourceOf: (name: Name) => string
}

/** The flags of a command line, by the names of settings. */
export const ofFlags = (flags: Readonly<Record<string, string>>): Source =>
  new Map(Object.entries(flags).map(([name, value]) => [name, { value, source: flagOf(name), isText: true }]))

/**
 * The variables of an environment that begin with `QUORUM_`. Those of clients are no settings; the others that nobody
 * reads are kept, so that a misspelt one is found.
 */
export const ofEnvironment = (environment: Readonly<Record<string, string | undefined>>): Source => {
  const found = new Map<string, Found>()
  for (const [variable, value] of Object.entries(environment)) {
    if (value === undefined || !variable.startsWith("QUORUM_") || others.includes(variable)) continue
    const name = names.find((name) => variableOf(name) === variable) ?? variable
    found.set(name, { value, source: variable, isText: true })
  }
  return found
}

/** The members of an object: of a JSON file, or of a call. `place` says where it stands: `in quorum.json`. */
export const ofObject = (object: object, place: string): Source =>
  new Map(
    Object.entries(object)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, { value, source: `${JSON.stringify(name)} ${place}`, isText: false }])
  )

/** Reads all settings. Earlier sources go before later ones; a wrong value is wrong although another goes before it. */
export const read = (sources: ReadonlyArray<Source>): Result.Result<Read, ReadonlyArray<Problem>> => {
  const problems: Array<Problem> = []
  const given: Partial<Record<Name, unknown>> = {}
  const places: Partial<Record<Name, string>> = {}
  for (const source of sources) {
    for (const [name, found] of source) {
      const known = names.find((known) => known === name)
      if (known === undefined) {
        problems.push({ source: found.source, detail: unknown(name, found) })
        continue
      }
      const decoded = decode(known, found)
      if (Result.isFailure(decoded)) problems.push({ source: found.source, detail: decoded.failure })
      else if (!Object.hasOwn(given, known)) {
        given[known] = decoded.success
        places[known] = found.source
      }
    }
  }
  return problems.length > 0
    ? Result.fail(problems)
    : Result.succeed({ given: given as Given, sourceOf: (name) => places[name] ?? flagOf(name) })
}

// ---------------------------------------------------------------------------------------------------------------------

/** Variables that are read elsewhere: by commands that ask a replica, and for the file of settings itself. */
const others = ["QUORUM_URL", "QUORUM_TOKEN", "QUORUM_CONFIG"]

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const decode = (name: Name, { isText, value }: Found): Result.Result<unknown, string> => {
  const { ofText, schema } = settings[name]
  let encoded = value
  if (isText) {
    const text = String(value).trim()
    // What Kubernetes sets for a service that is called quorum.
    if (text.startsWith("tcp://") && name === "port") {
      return Result.fail(
        "it was set by Kubernetes for a service; set enableServiceLinks: false in the pod, or rename the service"
      )
    }
    try {
      encoded = ofText(text)
    } catch (error) {
      return Result.fail(error instanceof Error ? error.message : String(error))
    }
  }
  const decoded = Schema.decodeUnknownResult(schema as Schema.Codec<unknown, unknown>, { onExcessProperty: "error" })(
    encoded
  )
  return Result.mapError(decoded, (error) => {
    const [issue] = formatIssues(error.issue).issues
    const path = (issue?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".")
    const message = issue?.message ?? "it cannot be read"
    return path === "" ? message : `${path}: ${message}`
  })
}

const unknown = (name: string, { isText }: Found): string => {
  const candidates = isText ? names.map(variableOf) : names
  const near = candidates
    .map((candidate) => [candidate, distance(name.toLowerCase(), candidate.toLowerCase())] as const)
    .sort(([, a], [, b]) => a - b)[0]!
  return `there is no such setting${near[1] <= 3 ? `; did you mean ${near[0]}?` : ""}`
}

/** How many letters have to be changed, added or taken away between two words (Levenshtein, one row at a time). */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
