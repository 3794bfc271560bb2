/**
 * What each member is remembered to have acked: it is told so in the handshake, and knows then whether it lost some of it.
 * Noted lazily, since an ack that is forgotten here is one of which nobody is told, and no worse. One that does not count any
 * more is worse: it says that all hold what some lack.
 */
import { Effect, Option, Record, type Scope } from "effect"
import * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import type * as ReplicaStore from "../../log/ReplicaStore.ts"
import type * as Watermark from "../../log/Watermark.ts"
import type * as GivenUp from "../GivenUp.ts"
import type { Peers } from "../Peers.ts"
import * as Notes from "./membershipNotes.ts"

/** How often it is noted at most, in milliseconds. */
const everyMillis = 5000

/**
 * What is known of what was noted, by one who has given up entries: of the logs that had them what is held here by now, since
 * it is not noted at once that the others do not count any more.
 */
export const knownOf = Effect.fnUntraced(function* (
  noted: Notes.Remembered,
  givenUp: ReadonlyArray<GivenUp.GivenUp>,
  chainAt: ReplicaLogs["Service"]["chainAt"]
): Effect.fn.Return<Notes.Remembered> {
  const logs = new Set(givenUp.flatMap(({ because, log }) => (because === "lost" ? [] : [log])))
  const isHeld = ({ chain, log, seq }: Watermark.Watermark): Effect.Effect<boolean> =>
    logs.has(log)
      ? Effect.map(Effect.option(chainAt(log, seq)), (found) => Option.contains(Option.flatten(found), chain))
      : Effect.succeed(true)
  return yield* Effect.all(
    Record.map(noted, ({ incarnation, vector }) =>
      Effect.map(Effect.filter(vector, isHeld), (held) => ({ incarnation, vector: held }))
    )
  )
})

/** Begins with what is known of what was noted. */
export const make = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"], noted: Notes.Remembered) {
  const known = new Map<ReplicaId, { incarnation: LogId.Incarnation; acked: Map<LogId.LogId, Watermark.Watermark> }>()
  for (const [peer, { incarnation, vector }] of Object.entries(noted)) {
    known.set(peer as ReplicaId, { incarnation, acked: new Map(vector.map((watermark) => [watermark.log, watermark])) })
  }
  let isNews = false
  const note = Effect.suspend(() => {
    if (!isNews) return Effect.void
    isNews = false
    const remembered = Object.fromEntries(
      Array.from(known, ([peer, { acked, incarnation }]) => [peer, { incarnation, vector: Array.from(acked.values()) }])
    )
    return Effect.catch(store.setNotes(Notes.encode({ remembered })), () => Effect.sync(() => (isNews = true)))
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(everyMillis), note)))
  yield* Effect.addFinalizer(() => note)

  /**
   * What a life of a member acked is forgotten with it, unless the next one goes on from it: a boot loses nothing, and a
   * disk that was put back as it was a while ago is known for what it is by what it acked.
   */
  const met = (peer: ReplicaId, incarnation: LogId.Incarnation): void => {
    const before = known.get(peer)
    if (before?.incarnation === incarnation) return
    isNews ||= before !== undefined
    const isKept = before !== undefined && LogId.goesOn(before.incarnation, incarnation)
    known.set(peer, { incarnation, acked: isKept ? before.acked : new Map() })
  }
  const add = (peer: ReplicaId, incarnation: LogId.Incarnation, watermark: Watermark.Watermark): void => {
    met(peer, incarnation)
    const { acked } = known.get(peer)!
    if ((acked.get(watermark.log)?.seq ?? 0) >= watermark.seq) return
    acked.set(watermark.log, watermark)
    isNews = true
  }
  return {
    met,
    add,
    /** Adds what the peers ack, until the scope closes. */
    listenTo: (peers: Pick<Peers["Service"], "listen">): Effect.Effect<void, never, Scope.Scope> =>
      Effect.acquireRelease(
        Effect.sync(() =>
          peers.listen((event) => {
            if (event._tag === "Ack") add(event.peer, event.incarnation, event.watermark)
          })
        ),
        (stop) => Effect.sync(stop)
      ),
    /** What was acked of a log was of entries that are given up here. */
    forget: (log: LogId.LogId): void => {
      for (const { acked } of known.values()) if (acked.delete(log)) isNews = true
    },
    of: (peer: ReplicaId): Watermark.VersionVector => Array.from(known.get(peer)?.acked.values() ?? [])
  }
}) satisfies (...args: ReadonlyArray<never>) => Effect.Effect<unknown, unknown, Scope.Scope>
