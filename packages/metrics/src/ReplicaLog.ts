/**
 * A log for operators: one structured line when the state of a replica changes in a way that somebody may have to act
 * on. Never one per write, and never with a key, a namespace or a value.
 *
 * Every line has the annotation `quorum.event`, and `quorum.peer` where it is about a peer.
 */
import { ReplicaEvents, ReplicaStatus } from "@quorum/core"
import { Monotonic } from "@quorum/core/adapter"
import { Clock, Duration, Effect, Layer, type LogLevel, Queue } from "effect"
import * as Spans from "./internal/Spans.ts"

/** When something is worth a line. */
export interface Options {
  /** For how long a peer misses entries before it is lagging; 10 seconds unless given. */
  readonly lag?: Duration.Input
  /** How far a clock may differ; 5 seconds unless given. */
  readonly clockSkew?: Duration.Input
  /** How often the status is looked at; every second unless given. */
  readonly every?: Duration.Input
  /**
   * The share of the disk that is free, and what is little; nothing is said of the disk unless given, or while `free`
   * throws.
   */
  readonly disk?: { readonly free: () => number; readonly low: number }
}

/** One line. */
export interface Line {
  readonly level: LogLevel.Severity
  readonly event: string
  readonly message: string
  readonly peer?: string
  readonly more?: Readonly<Record<string, string | number>>
}

/**
 * Logs until the scope closes, by the logger of the context that the layer is built with. Throws at a `lag`, a `clockSkew`
 * or an `every` that is not above zero.
 */
export const layer = (
  options: Options = {}
): Layer.Layer<never, never, ReplicaEvents.ReplicaEvents | ReplicaStatus.ReplicaStatus> => {
  const { clockSkew, every, lag } = options
  Spans.check({ lag, clockSkew, every })
  return Layer.effectDiscard(
    Effect.gen(function* () {
      const status = yield* ReplicaStatus.ReplicaStatus
      const events = yield* ReplicaEvents.ReplicaEvents
      const refusals = yield* Queue.sliding<Line>(maxRefusals)
      const watch = watcher(options)

      const clock = yield* Clock.Clock
      const pace = pacer()
      const say = (line: Line | undefined) => void (line !== undefined && Queue.offerUnsafe(refusals, line))
      const told = new Map<string, string>()
      const hear = (event: ReplicaEvents.ReplicaEvent): void => {
        if (event._tag === "LinkChanged" && event.link === "up") told.delete(`outgoing ${event.peer}`)
        if (event._tag === "ConnectionEnded") return say(pace(event, Monotonic.millis(clock)))
        if (event._tag !== "HandshakeRefused") return
        if (event.direction === "incoming") return say(pace(event, Monotonic.millis(clock)))
        const key = `outgoing ${event.peer}`
        if (told.get(key) === event.reason) return
        told.set(key, event.reason)
        say(refusal(event))
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => events.listen(hear)),
        (stop) => Effect.sync(stop)
      )
      yield* Queue.take(refusals).pipe(Effect.flatMap(write), Effect.forever, Effect.forkScoped)

      yield* Effect.suspend(() =>
        Effect.forEach(watch(status.current(), Monotonic.millis(clock)), write, { discard: true })
      ).pipe(Effect.andThen(Effect.sleep(every ?? 1000)), Effect.forever, Effect.forkScoped)
    })
  )
}

/**
 * Who is turned away, or whose connection was ended, gets a line, and another when the same goes on a minute later: those
 * from one address, for one reason, are one. Of more than so many within a minute the rest are one together.
 */
export const pacer = () => {
  const known = new Map<string, { readonly since: number; more: number }>()
  return (event: Refused | Ended, now: number): Line | undefined => {
    for (const [key, { since }] of known) if (now - since >= 2 * paceMillis) known.delete(key)
    const own = `${event.reason} ${event.address} ${event._tag === "HandshakeRefused" ? event.peer : ""}`
    const key = known.has(own) || known.size < maxPaced ? own : "others"
    const before = known.get(key)
    if (before !== undefined && now - before.since < paceMillis) return void before.more++
    known.set(key, { since: now, more: 0 })
    return event._tag === "HandshakeRefused" ? refusal(event, before?.more) : ending(event, before?.more)
  }
}

/** Compares each status with the one before, and says what is worth a line. Times are milliseconds. */
export const watcher = ({ clockSkew = "5 seconds", disk, lag = "10 seconds" }: Options) => {
  const lagMillis = Duration.toMillis(Duration.fromInputUnsafe(lag))
  const skewMillis = Duration.toMillis(Duration.fromInputUnsafe(clockSkew))
  /** What is the case, by a key of its own. */
  const known = new Map<string, string>()
  const behindSince = new Map<string, number>()

  /** A line when `is` has changed; the first look is compared with "all is well". */
  const changed = (key: string, is: string, well: string, line: (is: string) => Line): ReadonlyArray<Line> => {
    if ((known.get(key) ?? well) === is) return []
    known.set(key, is)
    return [line(is)]
  }

  const ofPeer = (status: ReplicaStatus.PeerStatus, now: number): ReadonlyArray<Line> => {
    const { clockSkewMillis, detail, drifted, link, replica: peer } = status
    if (status.lag === 0) behindSince.delete(peer)
    else if (!behindSince.has(peer)) behindSince.set(peer, now)
    const since = behindSince.get(peer)
    const isLagging = since !== undefined && now - since >= lagMillis
    const skew = clockSkewMillis ?? 0
    const of = (level: LogLevel.Severity, event: string, message: string, more: Line["more"] = {}): Line => ({
      level,
      event,
      message,
      peer,
      more
    })
    return [
      ...changed(`link ${peer}`, link === "connecting" ? "up" : link, "up", (is) =>
        is === "up"
          ? of("Info", "peer_up", "a peer can be reached again")
          : of("Warn", "peer_down", "a peer cannot be reached", { detail: detail ?? "" })
      ),
      ...changed(`lag ${peer}`, isLagging ? "lagging" : "level", "level", (is) =>
        is === "lagging"
          ? of("Warn", "peer_lagging", "a peer misses entries of this replica", { entries: status.lag })
          : of("Info", "peer_caught_up", "a peer has caught up")
      ),
      ...changed(`drift ${peer}`, drifted.join(" "), "", (is) =>
        is === ""
          ? of("Info", "drift_over", "no copy of the peer is known to differ any more")
          : of("Error", "drift", "a peer's copy of a log differs from the one here", { logs: is })
      ),
      ...changed(`skew ${peer}`, Math.abs(skew) > skewMillis ? "skewed" : "level", "level", (is) =>
        is === "skewed"
          ? of("Warn", "clock_skew", "the clock of a peer differs", { seconds: skew / 1000 })
          : of("Info", "clock_skew_over", "the clocks agree again", { seconds: skew / 1000 })
      )
    ]
  }

  const ofDisk = ({ free, low }: NonNullable<Options["disk"]>): ReadonlyArray<Line> => {
    const share = shareOf(free)
    if (share === undefined) return []
    return changed("disk", share < low ? "low" : "well", "well", (is) =>
      is === "low"
        ? { level: "Warn", event: "disk_low", message: "the disk is nearly full", more: { free: share } }
        : { level: "Info", event: "disk_well", message: "the disk has room again" }
    )
  }

  return (status: ReplicaStatus.Status, now: number): ReadonlyArray<Line> => [
    ...changed("recovered", status.recovered ? "yes" : "no", "yes", (is) =>
      is === "yes"
        ? { level: "Info", event: "recovered", message: "this replica may append" }
        : {
            level: "Warn",
            event: "recovering",
            message: "this replica may not append before it has heard of its own log"
          }
    ),
    ...changed("voting", status.voting ? "yes" : "no", "yes", (is) =>
      is === "yes"
        ? { level: "Info", event: "voting", message: "this replica counts for quorums" }
        : {
            level: "Warn",
            event: "not_voting",
            message: "this replica may lack something that it acknowledged, and counts for no quorum"
          }
    ),
    ...changed("clock", status.clockHeldMillis === 0 ? "followed" : "held", "followed", (is) =>
      is === "followed"
        ? { level: "Info", event: "clock_followed", message: "the clock of this replica is followed again" }
        : {
            level: "Warn",
            event: "clock_held",
            message: "the clock of this replica is too far from the members', and is not followed",
            more: { seconds: status.clockHeldMillis / 1000 }
          }
    ),
    ...changed("store", status.storeFault?.reason ?? "", "", (is) =>
      is === ""
        ? { level: "Info", event: "store_works", message: "the store works again" }
        : { level: "Error", event: "store_fault", message: "the store does not work", more: { reason: is } }
    ),
    ...changed("room", status.room.refusing ? "refusing" : "", "", (is) =>
      is === ""
        ? { level: "Info", event: "puts_taken", message: "there is room again, and puts are taken" }
        : {
            level: "Error",
            event: "puts_refused",
            message: "nearly no room is left, and it is kept for deletes and for what peers bring",
            more: { left: status.room.left ?? 0, reserve: status.room.reserve ?? 0 }
          }
    ),
    ...changed("damage", String(status.damaged.length), "0", (is) =>
      is === "0"
        ? { level: "Info", event: "damage_over", message: "all entries that are held here can be read again" }
        : {
            level: "Error",
            event: "damage",
            message: "entries that are held here cannot be read any more",
            more: { ranges: Number(is) }
          }
    ),
    ...changed("majority", hasMajority(status) ? "yes" : "no", "yes", (is) =>
      is === "yes"
        ? { level: "Info", event: "available", message: "enough replicas can be reached for a write" }
        : { level: "Error", event: "unavailable", message: "too few replicas can be reached for a write" }
    ),
    ...(disk === undefined ? [] : ofDisk(disk)),
    ...status.peers.flatMap((peer) => ofPeer(peer, now))
  ]
}

// ---------------------------------------------------------------------------------------------------------------------

/** What somebody else's code tells; nothing where it throws: all the other lines are still to be written. */
const shareOf = (free: () => number): number | undefined => {
  try {
    return free()
  } catch {
    return undefined
  }
}

/** How many refused handshakes wait to be written; the newest stay. */
const maxRefusals = 64

const hasMajority = ({ peers, policy }: ReplicaStatus.Status): boolean =>
  1 + peers.filter(({ link }) => link !== "down").length >= policy.w

type Refused = Extract<ReplicaEvents.ReplicaEvent, { readonly _tag: "HandshakeRefused" }>
type Ended = Extract<ReplicaEvents.ReplicaEvent, { readonly _tag: "ConnectionEnded" }>

/** How often callers that are turned away or ended get a line, in milliseconds, and of how many the lines are kept apart. */
const paceMillis = 60_000
const maxPaced = 64

const refusal = (event: Refused, others = 0): Line => ({
  level: "Warn",
  event: "handshake_refused",
  message: event.direction === "incoming" ? "a caller was turned away" : "a peer refuses the handshake",
  ...(event.peer === undefined ? {} : { peer: event.peer }),
  more: {
    direction: event.direction,
    reason: event.reason,
    ...(event.address === undefined ? {} : { address: event.address }),
    ...(others === 0 ? {} : { others })
  }
})

const ending = ({ address, reason }: Ended, others = 0): Line => ({
  level: "Warn",
  event: "connection_ended",
  message: "a connection was ended, which cost more than it may",
  more: { reason, ...(address === undefined ? {} : { address }), ...(others === 0 ? {} : { others }) }
})

const write = ({ event, level, message, more = {}, peer }: Line): Effect.Effect<void> =>
  Effect.logWithLevel(level)(message).pipe(
    Effect.annotateLogs({ "quorum.event": event, ...(peer === undefined ? {} : { "quorum.peer": peer }), ...more })
  )
