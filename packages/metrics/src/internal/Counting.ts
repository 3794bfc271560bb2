/**
 * What is counted: every event of a replica, put into the series it belongs to. A few additions per batch or peer.
 */
import { LogId, type ReplicaEvents, ReplicaStatus } from "@quorum/core"
import type { Backlog } from "./Backlog.ts"
import type { LastAcks } from "./LastAcks.ts"
import type { Counter, Histogram, Series } from "./Series.ts"

/** What the gauges need to know that a status does not say. */
export interface Seen {
  /** When a peer acked last, in milliseconds since the epoch. */
  readonly ackedAt: Map<string, number>
  /** When the last entries were appended. */
  appendedAt: number
  /** Since when the record index may be behind; `undefined` while it is not. */
  unindexedSince: number | undefined
}

const outcomes: ReadonlyArray<ReplicaEvents.CommitOutcome> = [
  "committed",
  "quorum_not_met",
  "quorum_unavailable",
  "local_write_failed",
  "write_uncertain",
  "write_rejected",
  "overloaded",
  "disk_low",
  "not_ready",
  "replica_closing",
  "invalid_policy"
]
const notMet = ["unreachable", "timeout", "id_drift", "in_flight"]
const answers: ReadonlyArray<ReplicaEvents.PeerAnswer> = ["ack", "late", "id_drift", "rejected", "failed"]

/** Why commits do not succeed. */
export const failureReasons: ReadonlyArray<string> = [...notMet, ...outcomes.slice(2)]

/** The reasons why a store fails. */
export const storeReasons = ReplicaStatus.Status.fields.storeFault.members[0].fields.reason.literals

/** What counting remembers beside the series. */
export interface Memory {
  readonly backlog: Backlog
  readonly lastAcks: LastAcks
  readonly seen: Seen
  readonly millis: () => number
  readonly wallMillis: () => number
}

/** Makes the series, all at 0, and the listener that counts in them. */
export const make = (series: Series, status: ReplicaStatus.Status, memory: Memory) => {
  const { backlog, lastAcks, millis, seen, wallMillis } = memory
  const peers = status.peers.map(({ replica }): string => replica)
  const counters = countersIn(series, peers)
  const links = new Map<string, string>()
  for (const { link, replica } of status.peers) {
    links.set(replica, link)
    if (link === "up") counters.connects(replica)?.add(1)
  }

  return (event: ReplicaEvents.ReplicaEvent): void => {
    switch (event._tag) {
      case "CommitsEnded": {
        const { durationMillis, outcome, reason, writes } = event
        counters.commits(outcome)?.add(writes)
        if (outcome !== "committed") counters.failures(reason ?? outcome)?.add(writes)
        counters.durations(outcome)?.record(durationMillis / 1000, writes)
        return
      }
      case "Appended":
        seen.appendedAt = millis()
        seen.unindexedSince ??= seen.appendedAt
        if (event.own) {
          backlog.appended(event.seq, event.bytes, seen.appendedAt)
          lastAcks.appended(event)
        }
        return appended(event.own ? counters.own : counters.copy, event)
      case "Renewed":
        backlog.renewed(millis())
        return lastAcks.renewed(LogId.make(status.identity.replica, event.incarnation))
      case "AppendFailed":
        return counters.appendFailures(event.reason)?.add(1)
      case "PeerAnswered":
        counters.acks(event.answer)?.add(event.writes)
        if (event.answer === "ack" || event.answer === "late") {
          counters.ackDuration(event.peer)?.record(event.afterMillis / 1000, event.writes)
        }
        return
      case "Acked":
        if (!peers.includes(event.peer)) return
        seen.ackedAt.set(event.peer, wallMillis())
        return lastAcks.acked(event, (millis, entries) => counters.lastAck.record(millis / 1000, entries))
      case "Drifted":
        return counters.drifts.add(1)
      case "Rejected":
        return counters.rejections(event.peer)?.add(1)
      case "LinkChanged": {
        // A peer that cannot be reached is tried, and so told of, again and again; and what never was up is not lost.
        const before = links.get(event.peer)
        links.set(event.peer, event.link)
        if (event.link === "up" && before !== "up") counters.connects(event.peer)?.add(1)
        if (event.link === "down" && before === "up") counters.losses(event.peer)?.add(1)
        return
      }
      case "HandshakeRefused":
        return counters.refused[event.direction](event.reason).add(1)
      case "ConnectionEnded":
        return counters.ended(event.reason).add(1)
      case "SkewMeasured":
        return counters.skew(event.peer)?.record(Math.abs(event.skewMillis) / 1000, 1)
      case "CaughtUp":
        counters.caughtUp.entries(event.peer)?.add(event.entries)
        return counters.caughtUp.size(event.peer)?.add(event.bytes)
      case "IndexMerged":
        seen.unindexedSince = after(seen.appendedAt, millis() - event.durationMillis)
        counters.merge.duration.record(event.durationMillis / 1000, 1)
        return counters.merge.keys.add(event.pointers)
      case "DamageMended":
        return counters.mended.add(event.to - event.from + 1)
      case "Compacted":
        return counters.erased.add(event.erasedBytes)
      case "ScrubFailed":
        return counters.scrubFailures(event.reason)?.add(1)
      case "DamageFound":
      case "Scrubbed":
      case "Recovered":
        return
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Makes the series, all at 0. */
const countersIn = (series: Series, peers: ReadonlyArray<string>) => {
  const each = <A>(values: ReadonlyArray<string>, make: (value: string) => A): ((value: string) => A | undefined) => {
    const made = new Map(values.map((value) => [value, make(value)]))
    return (value) => made.get(value)
  }
  const onDemand = (make: (value: string) => Counter): ((value: string) => Counter) => {
    const made = new Map<string, Counter>()
    return (value) => {
      const counter = made.get(value) ?? make(value)
      made.set(value, counter)
      return counter
    }
  }
  const counters = (key: Parameters<Series["counter"]>[0]) =>
    each(peers, (peer) => series.counter(key, { "quorum.peer": peer }))

  const acks = each(answers, (result) => series.counter("acks", { result }))
  const failures = each(failureReasons, (reason) => series.counter("failures", { reason }))
  const skew = each(peers, (peer) => series.histogram("clockSkew", { peer }))
  const drifts = series.counter("drifts")
  const mended = series.counter("mended")
  const erased = series.counter("erasedSize")
  const commits = each(outcomes, (outcome) => series.counter("commits", { "quorum.outcome": outcome }))
  const durations = each(outcomes.slice(0, 2), (outcome) =>
    series.histogram("commitDuration", { "quorum.outcome": outcome })
  )
  const ackDuration = each(peers, (peer) => series.histogram("ackDuration", { "quorum.peer": peer }))
  const lastAck = series.histogram("lastAckDuration")
  const append = (log: string) => ({
    sync: series.histogram("syncDuration", { "quorum.log": log }),
    duration: series.histogram("appendDuration", { "quorum.log": log }),
    entries: series.histogram("appendEntries", { "quorum.log": log }),
    size: series.histogram("appendSize", { "quorum.log": log })
  })
  const own = append("own")
  const copy = append("copy")
  const appendFailures = each(storeReasons, (reason) => series.counter("appendFailures", { "error.type": reason }))
  const scrubFailures = each(storeReasons, (reason) => series.counter("scrubFailures", { "error.type": reason }))
  const connects = counters("peerConnects")
  const losses = counters("peerLosses")
  const rejections = counters("peerRejections")
  const caughtUp = { entries: counters("catchUpEntries"), size: counters("catchUpSize") }
  // The reasons are words of ours, of which there are few.
  const refused = {
    incoming: onDemand((reason) =>
      series.counter("handshakesRefused", { "quorum.direction": "incoming", "error.type": reason })
    ),
    outgoing: onDemand((reason) =>
      series.counter("handshakesRefused", { "quorum.direction": "outgoing", "error.type": reason })
    )
  }
  const ended = onDemand((reason) => series.counter("connectionsEnded", { "error.type": reason }))
  const merge = { duration: series.histogram("mergeDuration"), keys: series.counter("mergeKeys") }

  return {
    ackDuration,
    acks,
    appendFailures,
    caughtUp,
    commits,
    connects,
    copy,
    drifts,
    durations,
    ended,
    erased,
    failures,
    lastAck,
    losses,
    mended,
    merge,
    own,
    refused,
    rejections,
    scrubFailures,
    skew
  }
}

/** What was appended after a merge had begun is not in it. */
const after = (appendedAt: number, begun: number): number | undefined => (appendedAt < begun ? undefined : begun)

const appended = (
  { duration, entries, size, sync }: Readonly<Record<"duration" | "entries" | "size" | "sync", Histogram>>,
  event: Extract<ReplicaEvents.ReplicaEvent, { readonly _tag: "Appended" }>
): void => {
  duration.record(event.durationMillis / 1000, 1)
  entries.record(event.entries, 1)
  size.record(event.bytes, 1)
  if (event.syncMillis !== undefined) sync.record(event.syncMillis / 1000, 1)
}
