/**
 * Records the metrics of a replica: counts what it tells, and looks at its status when somebody asks.
 *
 * The series are in Effect's `Metric.MetricRegistry`, so every exporter of Effect's metrics has them. Several replicas in
 * one program need a registry each: `Layer.succeed(Metric.MetricRegistry, new Map())`.
 */
import { ReplicaEvents, ReplicaStatus } from "@quorum/core"
import { Monotonic } from "@quorum/core/adapter"
import { Clock, Effect, Layer } from "effect"
import * as Backlog from "./internal/Backlog.ts"
import * as Counting from "./internal/Counting.ts"
import * as LastAcks from "./internal/LastAcks.ts"
import * as Series from "./internal/Series.ts"

/** Records until the scope closes. Costs a few additions per batch and peer, and nothing per write. */
export const layer: Layer.Layer<never, never, ReplicaEvents.ReplicaEvents | ReplicaStatus.ReplicaStatus> =
  Layer.effectDiscard(
    Effect.gen(function* () {
      const events = yield* ReplicaEvents.ReplicaEvents
      const status = yield* ReplicaStatus.ReplicaStatus
      const clock = yield* Clock.Clock
      const series = Series.make(yield* Effect.context<never>())
      const wallMillis = () => clock.currentTimeMillisUnsafe()
      /** How long something has taken is told by a clock that nobody sets. */
      const millis = () => Monotonic.millis(clock)
      const first = status.current()
      const { identity, log, peers, vector } = first
      const backlog = Backlog.make(heldOf(vector, log), millis())
      const seen: Counting.Seen = { ackedAt: new Map(), appendedAt: 0, unindexedSince: undefined }
      const ids = peers.map(({ replica }) => replica)

      const lastAcks = LastAcks.make(log, ids, millis)
      yield* Effect.acquireRelease(
        Effect.sync(() => events.listen(Counting.make(series, first, { backlog, lastAcks, seen, millis, wallMillis }))),
        (stop) =>
          Effect.sync(() => {
            stop()
            series.close()
          })
      )
      gauges(series, identity.replica, ids, once(status.current), { backlog, seen, millis, wallMillis })
    })
  )

// ---------------------------------------------------------------------------------------------------------------------

type Status = ReplicaStatus.Status

/** Looks once for all gauges of one export, which reads them in one turn. */
const once = (current: () => Status): (() => Status) => {
  let known: Status | undefined
  return () => {
    if (known === undefined) {
      known = current()
      queueMicrotask(() => void (known = undefined))
    }
    return known
  }
}

const gauges = (
  { gauge }: Series.Series,
  self: string,
  peers: ReadonlyArray<string>,
  status: () => Status,
  { backlog, seen, millis, wallMillis }: Memory
): void => {
  gauge("info", () => 1, { "quorum.replica": self })
  gauge("recovered", () => Number(status().recovered))
  gauge("voting", () => Number(status().voting))
  gauge("clockHeld", () => status().clockHeldMillis / 1000)
  gauge("stableTimeAge", () => Math.max(0, wallMillis() - status().stableTime.since) / 1000)
  gauge("diskStalled", () => status().diskStalledMillis / 1000)
  gauge("writesWaiting", () => status().waitingWrites)
  gauge("writesLimit", () => status().caps.waitingWrites)
  gauge("waitingSize", () => status().waitingBytes)
  gauge("waitingSizeLimit", () => status().caps.waitingBytes)
  gauge("peerPushesLimit", () => status().caps.pushes)
  const entries = (ranges: Status["damaged"]): number => ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0)
  gauge("damaged", () => entries(status().damaged))
  gauge("lost", () => entries(status().lost))
  const startedAt = wallMillis()
  gauge("scrubAge", () => Math.max(0, wallMillis() - (status().scrub.last?.endedAt ?? startedAt)) / 1000)
  gauge("storeFree", () => status().compaction.space?.free ?? 0)
  gauge("storeLeft", () => status().room.left ?? 0)
  gauge("storeReserve", () => status().room.reserve ?? 0)
  gauge("putsRefused", () => Number(status().room.refusing))
  gauge("liveSize", () => status().compaction.last?.liveBytes ?? 0)
  gauge("reclaimableSize", () => (status().compaction.last?.waitingBytes ?? 0) + status().compaction.appendedBytes)
  gauge("indexWaiting", () => status().unindexedKeys)
  const indexDelay = (): number => {
    if (status().unindexedKeys === 0) seen.unindexedSince = undefined
    // What a start finds in the logs waits as well, though nothing tells of it.
    else seen.unindexedSince ??= millis()
    return (millis() - (seen.unindexedSince ?? millis())) / 1000
  }
  indexDelay()
  gauge("indexDelay", indexDelay)
  for (const reason of Counting.storeReasons) {
    gauge("storeFault", () => Number(status().storeFault?.reason === reason), { "error.type": reason })
  }
  for (const replica of [self, ...peers]) {
    const isTheirs = (log: string): boolean => log.slice(0, log.indexOf("@")) === replica
    const held = () => status().vector.reduce((sum, { log, seq }) => (isTheirs(log) ? sum + seq : sum), 0)
    gauge("logHead", held, { "quorum.replica": replica })
  }
  for (const peer of peers) {
    const attributes = { "quorum.peer": peer }
    const of = () => status().peers.find(({ replica }) => replica === peer)!
    gauge("peerUp", () => Number(of().link === "up"), attributes)
    gauge("peerLag", () => of().lag, attributes)
    gauge("peerLagTime", () => (of().lag === 0 ? 0 : backlog.ageMillis(of().watermark, millis()) / 1000), attributes)
    gauge("peerLagSize", () => backlog.bytesAfter(of().watermark), attributes)
    gauge("peerPushes", () => of().pushes, attributes)
    gauge("peerPushSize", () => of().pushBytes, attributes)
    if (of().connectionBytes !== null) gauge("peerConnectionSize", () => of().connectionBytes ?? 0, attributes)
    gauge("peerAckedAt", () => (seen.ackedAt.get(peer) ?? 0) / 1000, attributes)
    const heldBack = () =>
      status().frontier.reduce(
        (longest, { heldBackBy, since }) =>
          since !== null && heldBackBy.some((member) => member === peer)
            ? Math.max(longest, wallMillis() - since)
            : longest,
        0
      ) / 1000
    gauge("peerHoldsBack", heldBack, attributes)
    gauge("peerAway", () => (of().away === "left_out" ? 2 : Number(of().away === "marked")), attributes)
    gauge("peerDrifted", () => of().drifted.length, attributes)
    gauge("peerSkew", () => (of().clockSkewMillis ?? 0) / 1000, attributes)
  }
}

interface Memory {
  readonly backlog: Backlog.Backlog
  readonly seen: Counting.Seen
  readonly millis: () => number
  readonly wallMillis: () => number
}

const heldOf = (vector: Status["vector"], log: string): number => vector.find((known) => known.log === log)?.seq ?? 0
