/**
 * What this replica does about itself whenever something has changed: it leaves a log of its own that it must write no more
 * to, gives up ends of logs that nobody can tell, and votes when all is here that that takes.
 */
import { Effect, Latch, Schedule } from "effect"
import type * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as FormerLogs from "./FormerLogs.ts"
import type * as Missing from "./Missing.ts"
import type * as Renewal from "./Renewal.ts"
import type * as Standing from "./Standing.ts"
import * as Voting from "./Voting.ts"

/** Settles once before it returns, and then whenever something has changed, until the scope closes. */
export const make = Effect.fnUntraced(function* ({
  changed,
  former,
  logs,
  missing,
  onReplaced,
  peers,
  renewal,
  standing
}: {
  readonly peers: ReadonlyArray<ReplicaId>
  readonly logs: ReplicaLogs["Service"]
  readonly standing: ReturnType<typeof Standing.make>
  readonly former: Pick<ReturnType<typeof FormerLogs.make>, "appended">
  readonly missing: Pick<ReturnType<typeof Missing.make>, "endOfLog">
  readonly renewal: Pick<ReturnType<typeof Renewal.make>, "renewFor">
  /** What is held of a log after an entry was given up, and the log goes on with other entries. */
  readonly onReplaced: (log: LogId.LogId, after: number) => void
  /** Called when what is damaged, or who is given up, has changed. */
  readonly changed: () => void
}) {
  /** Something has changed since it was looked at last. */
  const news = Latch.makeUnsafe(true)
  let forked: { readonly log: LogId.LogId; readonly peer: ReplicaId } | undefined

  /** Why this replica needs another log although no peer has said so. */
  const broken = (): Renewal.Reason | undefined => {
    if (forked?.log === logs.own) {
      return { because: `${forked.peer} holds other entries of this replica's own log ${forked.log}` }
    }
    return missing.endOfLog(standing.isVoting())
  }

  /** Gives up the ends that nobody can tell; what was counted of them is waited for by then. */
  const cutEnds = Effect.suspend(() =>
    standing.isVoting()
      ? Effect.void
      : Effect.forEach(logs.unknownEnds(), (log) => (log === logs.own ? Effect.void : logs.cut(log)), { discard: true })
  )

  yield* Effect.acquireRelease(
    Effect.sync(() => [
      logs.onAppend(() => (standing.isVoting() ? former.appended() : news.openUnsafe())),
      logs.onDamage((change) => {
        if (change._tag === "Cut" && change.goesOn) onReplaced(change.log, change.end)
        news.openUnsafe()
        changed()
      })
    ]),
    (stops) => Effect.sync(() => stops.forEach((stop) => stop()))
  )
  if (standing.isLost() && peers.length === 0) {
    yield* Effect.logWarning(
      "the store is a copy, or was restored; there are no members who could know more, so it is used"
    )
  }
  yield* standing.settle
  yield* Effect.gen(function* () {
    while (true) {
      yield* news.await
      news.closeUnsafe()
      yield* Effect.retry(
        Effect.andThen(Effect.andThen(renewal.renewFor(broken), cutEnds), standing.settle),
        Schedule.spaced(1000)
      )
    }
  }).pipe(Effect.forkScoped)

  return {
    /** Something has changed that it rests on. */
    again: (): void => void news.openUnsafe(),
    /** The copy of a log that a peer holds was compared, and differs from the one here. */
    differs: (peer: ReplicaId, log: LogId.LogId): void => {
      standing.without(peer)
      if (log !== logs.own) return
      // A place of the own log was given away twice.
      forked = { log, peer }
      news.openUnsafe()
    },
    /** Waits for nothing from members that are given up. Says in the log first what may be lost, and returns it. */
    recover: Effect.fnUntraced(function* (members: ReadonlyArray<ReplicaId>) {
      const loss = Voting.lossOf(peers, members)
      yield* Effect.logWarning(`recovery is overruled: ${loss}`)
      standing.giveUp(members)
      news.openUnsafe()
      changed()
      return loss
    })
  }
})
