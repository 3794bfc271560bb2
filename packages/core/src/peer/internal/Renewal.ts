/**
 * How this replica begins another life, and why: it opens a log that nobody has written to, and does not vote until it
 * holds all that it may have acknowledged.
 */
import { Effect, Latch, type Semaphore } from "effect"
import type { EventSink } from "../../events/EventSink.ts"
import * as Life from "../../identity/Life.ts"
import type * as LogId from "../../identity/LogId.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import type { ReplicaLogs } from "../../log/ReplicaLogs.ts"

/** Why another life is taken, and which one it has to be newer than. */
export interface Reason {
  readonly because: string
  readonly above?: LogId.Incarnation
}

/** Begins in the life that the logs have. `changing` is held while it changes, and `changed` is called when it has. */
export const make = ({
  changed,
  changing,
  logs,
  lose,
  onRenewed,
  own,
  peers,
  self,
  sink
}: {
  readonly self: ReplicaId
  readonly peers: ReadonlyArray<ReplicaId>
  readonly logs: ReplicaLogs["Service"]
  readonly sink: EventSink
  /** The life of this replica as of now. */
  readonly own: () => Life.Life
  readonly changing: Semaphore.Semaphore
  readonly changed: () => void
  /** From here on it answers nothing that counts, whatever becomes of the disk. */
  readonly lose: () => void
  readonly onRenewed: () => void
}) => {
  let stopped: string | undefined
  /** How often this run has taken another life above one that some process had. */
  let outlived = 0
  const renewal = Latch.makeUnsafe()

  /** Takes another life when there is a reason, which is looked for once it is this change's turn. */
  const renewFor = (reason: () => Reason | undefined) =>
    changing.withPermit(
      Effect.suspend(() => {
        const found = reason()
        if (found === undefined) return Effect.void
        lose()
        changed()
        // Whoever asked may be gone by then: it is the next life all the same, and is known as that.
        return Effect.flatMap(logs.renew(found.above), (incarnation) => {
          onRenewed()
          renewal.openUnsafe()
          renewal.closeUnsafe()
          changed()
          if (sink.active()) sink.tell({ _tag: "Renewed", incarnation, because: found.because })
          return Effect.logWarning(
            `${found.because}; this replica opens the log ${logs.own} and does not vote until it holds all that it may ` +
              "have acknowledged"
          )
        }).pipe(Effect.uninterruptible)
      })
    )

  /** A newer life than this one has this replica's id: an older copy goes on here, or another process runs there. */
  const outlive = (newest: Life.Life) => {
    let isNews = false
    // Looked at in its turn: several peers refuse the same life at once, and the first of them has it renewed.
    const renewed = renewFor(() => {
      const mine = own()
      if (Life.compare(newest, mine) <= 0) return undefined
      const { run, startedAt } = mine
      const isLater = newest.startedAt > startedAt || (newest.startedAt === startedAt && newest.run > run)
      // As which this replica was left out, as often as it was away: no process has it.
      const isLived = !Life.isLeftOut(newest)
      // Each peer knows of one former life at most, so whoever has outlived so many meets a process that goes on.
      if (isLived && outlived >= peers.length && !isLater) {
        // Each peer refuses it, and does so again and again.
        isNews = stopped === undefined
        stopped = `another process with the id ${self} is alive, and this one began later`
        changed()
        return undefined
      }
      if (isLived) outlived++
      return { because: `a newer life of this replica is known, ${newest.incarnation}`, above: newest.incarnation }
    })
    const said = Effect.suspend(() =>
      isNews
        ? Effect.logError(`${stopped}; stop one of the two, then start this one again if it is the right one`)
        : Effect.void
    )
    return Effect.andThen(renewed, said)
  }

  return {
    renewFor,
    outlive,
    /** Why this process must stop; `undefined` unless another one has its id and goes on. */
    stopped: () => stopped,
    /** Waits until this replica has another incarnation. */
    renewed: Effect.suspend(() => renewal.await)
  }
}
