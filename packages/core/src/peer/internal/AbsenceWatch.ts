/**
 * Looks once in a heartbeat for members that are away too long: marks them, and leaves out whom a majority has marked. How
 * long somebody is away is told by what is heard of the members meanwhile, and by what is appended here.
 */
import { Clock, Effect } from "effect"
import type { EventSink } from "../../events/EventSink.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as Monotonic from "../../log/Monotonic.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import type { Said } from "../Greeting.ts"
import * as PeerProtocol from "../PeerProtocol.ts"
import * as Absence from "./Absence.ts"
import type * as Lives from "./Lives.ts"

/** Looks until the scope closes, while this replica votes. */
export const make = Effect.fnUntraced(function* ({
  isVoting,
  lives,
  logs,
  noted,
  patience: asked,
  peers,
  sink,
  store
}: {
  readonly noted: Absence.Noted
  readonly peers: ReadonlyArray<ReplicaId>
  readonly lives: Pick<ReturnType<typeof Lives.make>, "all" | "learn">
  readonly logs: Pick<ReplicaLogs["Service"], "onAppend">
  readonly store: ReplicaStore.ReplicaStore["Service"]
  readonly sink: EventSink
  readonly isVoting: () => boolean
  readonly patience: Pick<Absence.Patience, "millis" | "bytes">
}) {
  const clock = yield* Clock.Clock
  const heartbeatMillis = yield* PeerProtocol.HeartbeatInterval
  const patience = { ...asked, leastMillis: heartbeatMillis * silentHeartbeats }
  const absence = Absence.make(store, peers, noted)
  let appendedBytes = 0
  yield* Effect.acquireRelease(
    Effect.sync(() => logs.onAppend(({ bytes }) => void (appendedBytes += bytes.length))),
    (stop) => Effect.sync(stop)
  )
  const moment = () => ({ millis: Monotonic.millis(clock), bytes: appendedBytes })
  const began = moment()
  const situation = (): Absence.Situation => ({
    peers: absence.heard(moment(), began, patience.leastMillis),
    lives: lives.all(),
    marks: absence.marks(),
    lapsed: absence.lapsed(),
    patience
  })

  const look = Effect.gen(function* () {
    if (!isVoting()) return
    const marks = Absence.toMark(situation())
    if (Object.keys(marks).length > 0) {
      yield* absence.mark(marks)
      const names = Object.keys(marks).join(", ")
      yield* Effect.logWarning(`${names} is away too long: when a majority says so too, the others go on without it`)
    }
    const leftOut = yield* absence.inTurn(
      Effect.suspend(() => {
        const without = Absence.toLeaveOut(situation())
        return Effect.as(
          lives.learn(without),
          Object.keys(without).map((peer) => peer as ReplicaId)
        )
      })
    )
    for (const peer of leftOut) {
      const incarnation = absence.marks()[peer]!
      if (sink.active()) sink.tell({ _tag: "LeftOut", peer, incarnation })
      yield* Effect.logWarning(
        `a majority has marked ${peer} as away too long: it holds nothing back any more, and recovers when it comes back`
      )
    }
  })
  yield* Effect.sleep(heartbeatMillis).pipe(
    // A store that fails is told of where it fails writes, and is asked again.
    Effect.andThen(Effect.ignore(look)),
    Effect.forever,
    Effect.forkScoped
  )

  return {
    marks: absence.marks,
    says: absence.says,
    /** A member is there, and says this. */
    met: ({ away = unmarked, incarnation, replica, voting }: Said) =>
      absence.met(replica, { ...moment(), incarnation, voting, away }),
    /** A member has answered a handshake in which these marks were said. */
    answered: (replica: ReplicaId, said: Absence.Marks) => absence.answered(lives.all(), replica, said)
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** After how many heartbeats without a word a member does not count as one that is there. */
const silentHeartbeats = 3

/** What a member says that has never marked one. */
const unmarked: Absence.Away = { turn: 0, marks: {} }
