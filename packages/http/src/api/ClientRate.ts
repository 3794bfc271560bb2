/**
 * How often one client may ask: each token by itself, and each address of those who have none. Off unless it is given,
 * since what is much for one use is little for another; what one request may cost is bounded in any case.
 */
import { Context } from "effect"
import { HttpServerResponse } from "effect/http"
import * as PlainError from "../PlainError.ts"
import { RateLimited } from "./ApiErrors.ts"

/** Requests a second of one client, on average; undefined is as many as it likes. As many may come at once. */
export const ClientRate = Context.Reference<number | undefined>("@quorum/http/ClientRate", {
  defaultValue: () => undefined
})

/**
 * Takes a request of a client, or says how many milliseconds later the next one will be taken. The time is told by a clock
 * that nobody sets: set back, it would keep all clients waiting for as long.
 */
export type Meter = (client: string, nowMillis: number) => number

/**
 * Meters clients by the generic cell rate algorithm (ITU-T I.371): a number for each is kept, as long as it asks more often
 * than it may. Pure but for what it remembers.
 */
export const meter = (perSecond: number): Meter => {
  const apartMillis = 1000 / perSecond
  const burstMillis = Math.max(1000, apartMillis)
  /** When each has asked for as much as it may on average. */
  const spent = new Map<string, number>()
  let sweptAt = Number.NEGATIVE_INFINITY
  return (client, nowMillis) => {
    if (nowMillis - sweptAt >= burstMillis) {
      sweptAt = nowMillis
      for (const [each, until] of spent) if (until <= nowMillis) spent.delete(each)
    }
    const until = Math.max(spent.get(client) ?? nowMillis, nowMillis) + apartMillis
    const early = until - nowMillis - burstMillis
    // Sums of fractions are not exact.
    if (early > 1e-6) return early
    spent.set(client, until)
    return 0
  }
}

/** What is answered to a request that came so many milliseconds too early. */
export const tooMany = (earlyMillis: number): HttpServerResponse.HttpServerResponse => {
  const seconds = Math.ceil(earlyMillis / 1000)
  return HttpServerResponse.setHeader(limited, "retry-after", String(seconds))
}

// ---------------------------------------------------------------------------------------------------------------------

const limited = PlainError.make(429, "rate_limited", new RateLimited().message)
