/**
 * Pushes the own log over one connection, from the peer's watermark on: several batches at a time in order, and never
 * more than the link has shown that it carries.
 */
import { Clock, Deferred, Effect, Latch, Option, Semaphore, type Tracer } from "effect"
import * as Tracing from "../../events/Tracing.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as Thrown from "../../log/Thrown.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import type { Membership } from "../Membership.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import type { Peers } from "../Peers.ts"
import type * as LinkState from "./LinkState.ts"
import type { OwnStore } from "./OwnStore.ts"
import * as UnderWay from "./UnderWay.ts"

/** One connection, and what pushing over it needs to know and to tell. */
export interface Connection {
  readonly peer: ReplicaId
  readonly client: PeerMethods.PeerClient
  readonly welcome: PeerProtocol.Welcome
  /** How many pushes may be under way at once. */
  readonly slots: number
  /** The most bytes of entries in one push, as of now. */
  readonly batchBytes: () => number
  /** A push was acked. */
  readonly onAck: () => void
  /** An ack does not count before the two have told each other what they know of the members. */
  readonly greetAgain: () => void
}

/** What pushing uses of this replica. */
export interface Here {
  readonly logs: ReplicaLogs["Service"]
  readonly peers: Peers["Service"]
  readonly membership: Membership["Service"]
  readonly store: OwnStore
  readonly requestTimeoutMillis: number
}

/** What the answer to a push is worth. */
export const judge = (peer: ReplicaId, batch: EntryBatch.EntryBatch, ack: PeerProtocol.Ack) => {
  if (ack.replica !== peer || ack.log !== batch.log || ack.seq !== EntryBatch.last(batch)) return "invalid"
  return ack.chain === batch.chain ? "ack" : "drift"
}

/**
 * Whether an ack may count: it comes from the life that was greeted, and peer and replica know of the same lives of the
 * members. A peer that knows of a life that is news here may be needed for what that life lacks (law L57).
 */
export const isOfOneMind = (ack: PeerProtocol.Ack, welcome: PeerProtocol.Welcome, members: number): boolean =>
  ack.incarnation === welcome.incarnation && ack.members === members

/** Pushes what the peer misses, and what is appended from now on. Ends only by failing. */
export const run = Effect.fnUntraced(function* (here: Here, connection: Connection) {
  const { logs, membership, peers, requestTimeoutMillis, store } = here
  const { client, peer, welcome } = connection
  const { session } = welcome
  const tracing = yield* Tracing.make
  const speaks = (feature: PeerProtocol.Feature): boolean => welcome.features?.includes(feature) === true
  const speaksTraces = speaks("trace_context")
  /** Whether the peer gets what is written here before it is durable; another counts on what it gets. */
  const isAhead = speaks("durable_in_push")
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const monotonicMillis = () => Monotonic.millis(clock)
  const failure = yield* Deferred.make<never, LinkState.LinkFailure>()
  const slots = yield* Semaphore.make(connection.slots)
  const more = Latch.makeUnsafe(true)
  const rest = Latch.makeUnsafe(false)
  const durably = (batch: EntryBatch.EntryBatch): void => {
    if (batch.log !== logs.own) return
    if (isAhead) rest.openUnsafe()
    else more.openUnsafe()
  }
  // In one step: a connection that ends in between would leave its listeners behind.
  yield* Effect.acquireRelease(
    Effect.sync(() => [logs.onAppend(durably), logs.onWritten(() => void (isAhead && more.openUnsafe()))]),
    (stops) => Effect.sync(() => stops.forEach((stop) => stop()))
  )
  const calls = UnderWay.make(peer, requestTimeoutMillis, monotonicMillis)
  let bytes = 0
  let rejection: PeerProtocol.PushRejected | undefined
  let isPaused = false
  let isSaid = false
  let sent = welcome.vector.find((watermark) => watermark.log === logs.own)?.seq ?? 0
  /** How far the peer was told, by pushes, that the own log is durable here. */
  let told = logs.head(logs.own).seq
  const end = (): number => (isAhead ? logs.end(logs.own) : logs.head(logs.own)).seq

  const answered = (batch: EntryBatch.EntryBatch, ack: PeerProtocol.Ack) => {
    const worth = judge(peer, batch, ack)
    if (worth === "invalid") return Deferred.fail(failure, invalidAck(peer))
    if (worth === "drift") {
      peers.report({ _tag: "Drift", peer, log: batch.log, monotonicMillis: monotonicMillis() })
    } else {
      connection.onAck()
      const watermark = EntryBatch.watermark(batch)
      const { incarnation } = ack
      if (!ack.voting) peers.votes(peer, false)
      // One that votes since it was greeted last is greeted again, and not only at the next heartbeat.
      const isKnownToVote = !ack.voting || peers.get(peer).voting
      if (isKnownToVote && isOfOneMind(ack, welcome, membership.hash())) {
        peers.report({ _tag: "Ack", peer, incarnation, watermark, how: "push", monotonicMillis: monotonicMillis() })
      } else connection.greetAgain()
    }
    return Effect.void
  }

  const refused = (batch: EntryBatch.EntryBatch, error: PeerProtocol.PushError | PeerProtocol.PeerUnreachable) => {
    const { from: seq, log } = batch
    if (error._tag === "PushRejected") {
      // The peer will not take this entry, so nothing after it can follow; the rest of the link still works.
      rejection = error
      more.openUnsafe()
      const { detail } = error
      peers.report({ _tag: "Rejected", peer, log, seq, detail, monotonicMillis: monotonicMillis() })
      return Effect.logError(`${peer} rejects entry ${seq} of ${log}: ${detail}`)
    }
    if (error._tag === "StoreError" && error.reason === "corrupt") {
      // Its copy of the log is damaged, and comes back; over this link, perhaps.
      sent = Math.min(sent, seq - 1)
      isPaused = true
      more.openUnsafe()
      if (isSaid) return Effect.void
      isSaid = true
      return Effect.logWarning(`${peer} cannot say that it holds ${log}: ${error.message}`)
    }
    if (error._tag === "AppendDrift") {
      peers.report({ _tag: "Drift", peer, log, monotonicMillis: monotonicMillis() })
    }
    return Deferred.fail(failure, error)
  }

  /** Asks within a span in each of the batch's traces, and says them to a peer that goes on with them. */
  const ask = (batch: EntryBatch.EntryBatch) => {
    const { seq } = logs.head(logs.own)
    const durable = seq < EntryBatch.last(batch) ? seq : undefined
    told = Math.max(told, durable ?? EntryBatch.last(batch))
    const said = durable === undefined ? { session, batch } : { session, batch, durable }
    const within = logs.tracesOf(batch)
    if (within.length === 0) return client.push(said)
    const attributes = { "quorum.peer": peer, ...Tracing.attributesOf(batch) }
    const spans = tracing.start("quorum.push", within, { kind: "client", attributes })
    const traces = speaksTraces ? spans.flatMap(contextOf) : []
    const call = client.push(traces.length === 0 ? said : { ...said, traces })
    return tracing.within(spans, call, (ack) => errorOf(judge(peer, batch, ack)))
  }

  const push = (batch: EntryBatch.EntryBatch) => {
    calls.began(batch)
    peers.reportPushes(peer, { count: calls.count(), bytes: (bytes += batch.bytes.length) })
    return Effect.matchEffect(ask(batch), {
      onSuccess: (ack) => answered(batch, ack),
      onFailure: (error) => refused(batch, error)
    }).pipe(
      Effect.catchDefect((defect) => Deferred.fail(failure, broken(peer, defect))),
      Effect.ensuring(
        Effect.suspend(() => {
          calls.ended(batch)
          peers.reportPushes(peer, { count: calls.count(), bytes: (bytes -= batch.bytes.length) })
          return slots.release(1)
        })
      )
    )
  }

  /**
   * A peer that is far behind gets one large batch at a time, with pauses while there are commits: they come first,
   * and share processors and disks with it. Measured, three replicas on two cores: entries reach it at 3.6 times the
   * rate of the commits before, and leave half of those, without the pauses; at 2.1 times, and two thirds, with them.
   */
  const pushAlone = Effect.fnUntraced(function* (batch: EntryBatch.EntryBatch) {
    const began = monotonicMillis()
    const { seq } = logs.head(logs.own)
    yield* push(batch)
    if (logs.head(logs.own).seq > seq) yield* Effect.sleep((monotonicMillis() - began) * catchUpPause)
  })

  const read = (after: number, maxBytes: number) =>
    isAhead ? logs.readOwn(after, maxBytes) : logs.read(logs.own, after, maxBytes)

  const next = store.patiently(
    "read its own log",
    Effect.suspend(() =>
      Effect.flatMap(read(sent, connection.batchBytes()), (batch) =>
        Option.isSome(batch) ? Effect.succeed(batch.value) : Effect.fail(missing(sent + 1))
      )
    )
  )

  const send = Effect.gen(function* () {
    while (true) {
      more.closeUnsafe()
      if (rejection !== undefined) {
        yield* Effect.sleep(rejectedPauseMillis)
        return yield* rejection
      }
      if (end() <= sent || peers.get(peer).drifted.has(logs.own)) {
        yield* more.await
        continue
      }
      yield* slots.take(1)
      if (isPaused) {
        isPaused = false
        yield* Effect.sleep(damagedPauseMillis)
      }
      const batch = yield* next
      sent = EntryBatch.last(batch)
      if (batch.bytes.length > connection.batchBytes() / 2) yield* pushAlone(batch)
      else yield* Effect.forkIn(push(batch), scope, { startImmediately: true })
    }
  })

  /**
   * Has the peer greeted when it was not told for a while what is durable here: while there are commits the pushes say
   * it, and the last one is followed by none.
   */
  const tell = Effect.gen(function* () {
    while (true) {
      rest.closeUnsafe()
      const { seq } = logs.head(logs.own)
      const isUnsaid = (): boolean => told < seq && seq <= sent
      if (isUnsaid()) yield* Effect.sleep(restMillis)
      if (isUnsaid()) connection.greetAgain()
      yield* rest.await
    }
  })
  return yield* Effect.raceAllFirst([send, tell, calls.watch, Deferred.await(failure)])
})

/** A defect on the way to a peer ends the connection, not the replicator. */
export const broken = (peer: ReplicaId, defect: unknown) =>
  new PeerProtocol.PeerUnreachable({
    peer,
    reason: "invalid_answer",
    detail: `the call failed: ${Thrown.textOf(defect)}`
  })

// ---------------------------------------------------------------------------------------------------------------------

/** A span as a peer may go on with it. Its ids are hexadecimal digits unless a tracer has its own way. */
const contextOf = ({ spanId, traceId }: Tracer.Span): ReadonlyArray<PeerProtocol.TraceContext> => {
  const context = { traceId: traceId.padStart(32, "0"), spanId }
  return isId(32, context.traceId) && isId(16, spanId) ? [context] : []
}

const isId = (length: number, id: string): boolean => id.length === length && /^[0-9a-f]*[1-9a-f][0-9a-f]*$/.test(id)

/** What is wrong with an answer, in a word. */
const errorOf = (worth: ReturnType<typeof judge>): string | undefined =>
  worth === "ack" ? undefined : worth === "drift" ? "id_drift" : "invalid_answer"

/** How long a large push is paused after, as a share of the time that it took. */
const catchUpPause = 1.4

/** How long nothing is pushed before the peer is told in another way what is durable here, in milliseconds. */
const restMillis = 10

/** How long a peer that rejected an entry is left alone before it is asked again, in milliseconds. */
const rejectedPauseMillis = 60_000

/** How long a peer whose copy of the log is damaged is left alone before it is pushed to again, in milliseconds. */
const damagedPauseMillis = 1000

const invalidAck = (peer: ReplicaId) =>
  new PeerProtocol.PeerUnreachable({
    peer,
    reason: "invalid_answer",
    detail: "the answer to a push does not name the replica and the place that were asked for"
  })

const missing = (seq: number) =>
  new ReplicaStore.StoreError({ reason: "corrupt", detail: `entry ${seq} of the own log is missing` })
