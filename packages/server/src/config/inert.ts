/**
 * Settings that would do nothing, each with the reason: whoever gave one expects something of it. Pure.
 */
import { Entry, Limits } from "@quorum/core"
import { ReplicaServer } from "@quorum/core/adapter"
import { Result } from "effect"
import type { Problem, Read } from "./reading.ts"
import type { Given, Name } from "./settings.ts"

/** What of the settings of a replica of a set of `n` would do nothing. */
export const inert = (given: Given, n: number, sourceOf: Read["sourceOf"]): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  const say = (name: Name, detail: string): void =>
    void problems.push({ source: sourceOf(name), detail: `it would do nothing: ${detail}` })

  if (n === 1) {
    for (const name of ["transport", "clockBoundMillis", "clockSkewWarnMillis"] as const) {
      if (given[name] !== undefined) say(name, "the replica set has one member, and no peers")
    }
  }
  if (n < 3) {
    for (const name of ["awayHours", "awayBytes"] as const) {
      if (given[name] !== undefined) say(name, "without one of them, the others are no majority that could go on")
    }
  }
  if (given.awayHours === 0 && given.awayBytes !== undefined) {
    say("awayHours", "awayBytes has replicas marked; leave one of the two out")
  }
  const withTls = given.tlsKeyFile !== undefined
  if (given.insecure === true && (given.secretFile !== undefined || withTls)) {
    say("insecure", `peers prove who they are, by ${withTls ? "certificates" : "the secret"}`)
  }
  if (given.insecure === true && n === 1) say("insecure", "the replica set has one member, and no peers")
  for (const name of ["statusFor", "metricsFor"] as const) {
    if (given[name] === undefined) continue
    if (given.tokensFile === undefined) say(name, "without tokens everybody may ask everything")
    else if (name === "metricsFor" && given.metrics === false) say(name, "there are no metrics to be asked for")
  }
  if (given.maxBytes !== undefined && given.store === "lmdb") say("maxBytes", "it is for the store sqlite")
  if (given.order === "real-time" && isMinority(given.w, n)) say("order", minority(given.w, n))
  if (given.unavailable === "accept" && isAlone(given.w, n)) say("unavailable", alone)
  const limits = { ...Limits.defaults, ...given.limits }
  for (const [namespace, rule] of Object.entries(given.namespaces ?? {})) {
    const named = Limits.checkWrite(Entry.remove(namespace, "k"), limits)
    if (Result.isFailure(named)) say("namespaces", `none can be called ${shown(namespace)}: ${named.failure.detail}`)
    if (Object.keys(rule).length === 0) say("namespaces", `${namespace} says nothing`)
    const w = rule.w ?? given.w
    if (rule.order === "real-time" && isMinority(w, n)) say("namespaces", `${namespace}.order: ${minority(w, n)}`)
    if (rule.unavailable === "accept" && isAlone(w, n)) say("namespaces", `${namespace}.unavailable: ${alone}`)
    if (rule.reads === "local") say("namespaces", `${namespace}.reads: reads are local unless said otherwise`)
  }
  const known = new Set(["localhost", ...Object.values(given.peers ?? {}).flatMap(hostOf)])
  for (const host of given.hosts ?? []) {
    if (isAddress(host)) say("hosts", `${host} is an address, and those are known`)
    else if (!ReplicaServer.isHost(host)) {
      say("hosts", `no request names ${shown(host)} as its host; give a name alone, as app.example`)
    } else if (known.has(host.toLowerCase()))
      say("hosts", `${host} is known already, as localhost and the names in peers are`)
  }
  return problems
}

// ---------------------------------------------------------------------------------------------------------------------

type Width = Given["w"]

const isMinority = (w: Width, n: number): boolean => typeof w === "number" && w <= n / 2

const isAlone = (w: Width, n: number): boolean => n === 1 || w === 1

const alone = "one replica has to hold a write, and that is always there"

const minority = (w: Width, n: number): string =>
  `w is ${w} of ${n}, and only a majority can order writes in real time; take clock, or a greater w`

const hostOf = (url: string): ReadonlyArray<string> => (URL.canParse(url) ? [new URL(url).hostname] : [])

const shown = (name: string): string => JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)

const isAddress = (host: string): boolean => /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9a-f]*:[0-9a-f:.]+\]?)$/i.test(host)
