/**
 * A deliberately naive twin of `AckTracker`: it keeps the raw list of events and works everything out from scratch,
 * by the words of the design instead of by state. Slow, and simple enough to check by reading.
 */
import type * as QuorumError from "../../src/quorum/QuorumError.ts"

export type Event =
  | { readonly _tag: "local"; readonly at: number }
  | { readonly _tag: "ack"; readonly peer: string; readonly at: number }
  | { readonly _tag: "failure"; readonly peer: string; readonly verdict: QuorumError.Verdict; readonly at: number }
  | { readonly _tag: "seal"; readonly at: number }

export interface NaiveTracker {
  readonly n: number
  readonly w: number
  readonly self: string
  readonly peers: ReadonlyArray<string>
  readonly deadline: number
  /** How much of its own copy is damaged: it counts for nothing when there is any. */
  readonly selfLagsBy: number
  readonly events: ReadonlyArray<Event>
}

const own = (t: NaiveTracker): number => (t.selfLagsBy > 0 ? 0 : 1)

const DEFINITIVE = ["rejected", "drifted"]

const members = (t: NaiveTracker): Array<string> => [...new Set(t.peers)].filter((peer) => peer !== t.self)

const first = (t: NaiveTracker, count: number): NaiveTracker => ({ ...t, events: t.events.slice(0, count) })

/** The peer's first answer that settles what it is: an ack of any time, a drift or a rejection. */
const conclusion = (t: NaiveTracker, peer: string): Event | undefined =>
  t.events.find(
    (e) =>
      (e._tag === "ack" && e.peer === peer) ||
      (e._tag === "failure" && e.peer === peer && DEFINITIVE.includes(e.verdict._tag))
  )

const concludedAs = (t: NaiveTracker, tag: string): ReadonlyArray<Event> =>
  members(t)
    .map((peer) => conclusion(t, peer))
    .filter(
      (e) => e !== undefined && (e._tag === tag || (e._tag === "failure" && e.verdict._tag === tag))
    ) as ReadonlyArray<Event>

const acksInTime = (t: NaiveTracker): ReadonlyArray<string> =>
  members(t).filter(
    (peer) =>
      conclusion(t, peer)?._tag === "ack" &&
      t.events.some((e) => e._tag === "ack" && e.peer === peer && e.at <= t.deadline)
  )

/** How many events it took until the failure was final, if it is. */
const failedAfter = (t: NaiveTracker): number | undefined => {
  for (let k = 0; k <= t.events.length; k++) {
    const prefix = first(t, k)
    const out = concludedAs(prefix, "rejected").length + concludedAs(prefix, "drifted").length
    if (own(t) + members(t).length - out < t.w) return k
    const last = prefix.events.at(-1)
    const hasLocal = prefix.events.some((e) => e._tag === "local")
    const met = hasLocal && own(t) + acksInTime(prefix).length >= t.w
    if (last?._tag === "seal" && last.at > t.deadline && !met) return k
  }
  return undefined
}

export const acked = (t: NaiveTracker): ReadonlyArray<string> => acksInTime(first(t, failedAfter(t) ?? t.events.length))

export const late = (t: NaiveTracker): ReadonlyArray<string> =>
  members(t).filter((peer) => conclusion(t, peer)?._tag === "ack" && !acked(t).includes(peer))

export const idDriftCount = (t: NaiveTracker): number => concludedAs(t, "drifted").length

const localIsIn = (t: NaiveTracker): boolean => {
  const index = t.events.findIndex((e) => e._tag === "local")
  const failed = failedAfter(t)
  if (index < 0) return false
  // A failure for nothing but the missing local commit stays one.
  return failed === undefined || index < failed || own(t) + acked(t).length < t.w
}

export const verdicts = (t: NaiveTracker, now: number): Record<string, QuorumError.Verdict> => {
  const out: Record<string, QuorumError.Verdict> = {
    [t.self]: !localIsIn(t)
      ? { _tag: "not_tried" }
      : t.selfLagsBy > 0
        ? { _tag: "lagging", by: t.selfLagsBy }
        : { _tag: "acked" }
  }
  for (const peer of members(t)) {
    const end = conclusion(t, peer)
    const last = t.events.findLast((e) => e._tag === "failure" && e.peer === peer)
    if (end?._tag === "ack") out[peer] = { _tag: acked(t).includes(peer) ? "acked" : "late" }
    else if (end?._tag === "failure") out[peer] = end.verdict
    else if (last?._tag === "failure") out[peer] = last.verdict
    else out[peer] = { _tag: now <= t.deadline ? "not_tried" : "timed_out" }
  }
  return out
}

/** The last that was heard of its connection, before it concluded, is that it is there and slow. */
const isConnected = (t: NaiveTracker, peer: string): boolean => {
  const end = conclusion(t, peer)
  const before = end === undefined ? t.events : t.events.slice(0, t.events.indexOf(end))
  const heard = before.findLast(
    (e) => e._tag === "failure" && e.peer === peer && ["lagging", "timed_out", "refused"].includes(e.verdict._tag)
  )
  return heard?._tag === "failure" && heard.verdict._tag !== "refused"
}

const reason = (t: NaiveTracker, now: number): QuorumError.Reason => {
  const acks = acksInTime(t).length
  const drifts = concludedAs(t, "drifted").filter((e) => e.at <= t.deadline).length
  const silent = now > t.deadline ? 0 : members(t).filter((peer) => conclusion(t, peer) === undefined).length
  if (own(t) + acks < t.w && own(t) + acks + silent + drifts >= t.w) return "id_drift"
  return acks === 0 && !members(t).some((peer) => isConnected(t, peer)) ? "unreachable" : "timeout"
}

export const decision = (
  t: NaiveTracker,
  now: number
): { readonly _tag: "Pending" | "Met" | "Failed"; readonly got: number; readonly reason?: QuorumError.Reason } => {
  const failed = failedAfter(t)
  const local = localIsIn(t)
  const got = Math.min(t.n, acked(t).length + (local ? own(t) : 0))
  if (failed !== undefined) {
    const prefix = first(t, failed)
    return { _tag: "Failed", got, reason: reason(prefix, prefix.events.at(-1)?.at ?? 0) }
  }
  if (local && own(t) + acked(t).length >= t.w) return { _tag: "Met", got }
  return now <= t.deadline ? { _tag: "Pending", got } : { _tag: "Failed", got, reason: reason(t, now) }
}
