/**
 * Pushes the own log over one connection, from the peer's watermark on: several batches at a time in order, and never
 * more than the link has shown that it carries.
 */
import { Clock, Effect, Latch, Option, Semaphore } from "effect"
import * as Tracing from "../../events/Tracing.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as EntryBatch from "../../log/EntryBatch.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as ReplicaStore from "../../log/ReplicaStore.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import type { Membership } from "../Membership.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import type { Peers } from "../Peers.ts"
import type { OwnStore } from "./OwnStore.ts"
import * as PushAnswers from "./PushAnswers.ts"
import * as PushSpans from "./PushSpans.ts"
import * as Telling from "./Telling.ts"
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

/** Pushes what the peer misses, and what is appended from now on. Ends only by failing. */
export const run = Effect.fnUntraced(function* (here: Here, connection: Connection) {
  const { logs, membership, peers, requestTimeoutMillis, store } = here
  const { client, greetAgain, onAck, peer, welcome } = connection
  const { session } = welcome
  const tracing = yield* Tracing.make
  const speaks = (feature: PeerProtocol.Feature): boolean => welcome.features?.includes(feature) === true
  /** Whether the peer gets what is written here before it is durable; another counts on what it gets. */
  const isAhead = speaks("durable_in_push")
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const monotonicMillis = () => Monotonic.millis(clock)
  const slots = yield* Semaphore.make(connection.slots)
  const more = Latch.makeUnsafe(true)
  let sent = welcome.vector.find((watermark) => watermark.log === logs.own)?.seq ?? 0
  const telling = Telling.make(logs, () => sent, greetAgain)
  const durably = (batch: EntryBatch.EntryBatch): void => {
    if (batch.log !== logs.own) return
    if (isAhead) telling.durably()
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
  const end = (): number => (isAhead ? logs.end(logs.own) : logs.head(logs.own)).seq
  const answers = PushAnswers.make({
    peer,
    welcome,
    peers,
    membership,
    monotonicMillis,
    onAck,
    greetAgain,
    onRejected: (error) => {
      rejection = error
      more.openUnsafe()
    },
    onDamaged: (seq) => {
      sent = Math.min(sent, seq - 1)
      isPaused = true
      more.openUnsafe()
    }
  })
  const ask = PushSpans.make({ peer, client, logs, tracing, speaksTraces: speaks("trace_context") })

  const push = (batch: EntryBatch.EntryBatch) => {
    calls.began(batch)
    peers.reportPushes(peer, { count: calls.count(), bytes: (bytes += batch.bytes.length) })
    const durable = telling.saidWith(batch)
    return Effect.matchEffect(ask(durable === undefined ? { session, batch } : { session, batch, durable }), {
      onSuccess: (ack) => answers.answered(batch, ack),
      onFailure: (error) => answers.refused(batch, error)
    }).pipe(
      Effect.catchDefect((defect) => answers.fail(UnderWay.broken(peer, defect))),
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
  return yield* Effect.raceAllFirst([send, telling.run, calls.watch, answers.failure])
})

// ---------------------------------------------------------------------------------------------------------------------

/** How long a large push is paused after, as a share of the time that it took. */
const catchUpPause = 1.4

/** How long a peer that rejected an entry is left alone before it is asked again, in milliseconds. */
const rejectedPauseMillis = 60_000

/** How long a peer whose copy of the log is damaged is left alone before it is pushed to again, in milliseconds. */
const damagedPauseMillis = 1000

const missing = (seq: number) =>
  new ReplicaStore.StoreError({ reason: "corrupt", detail: `entry ${seq} of the own log is missing` })
