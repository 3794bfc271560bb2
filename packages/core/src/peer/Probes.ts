/**
 * Asks the peers for their clocks, so that a write can be stamped after everything that a majority knows of.
 *
 * Each connection has at most one question under way, and asks the next one when the answer is here and somebody waits
 * again: one question serves all who were called before it was asked.
 */
import { Context, Effect, Layer } from "effect"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import * as HybridLogicalClock from "../log/HybridLogicalClock.ts"
import { type Key, ReplicaClock } from "../log/ReplicaClock.ts"
import * as ProbeTracker from "../quorum/ProbeTracker.ts"
import type * as PeerProtocol from "./PeerProtocol.ts"

/** Calls that wait for a majority's clocks. */
export interface Waiting {
  /** The mark of the newest call that waits; `undefined` when none does. */
  readonly newest: () => number | undefined
  /**
   * The keys of the calls that wait, from this mark on, as many as fit into one question, and the mark of the first call
   * whose keys did not.
   */
  readonly keys: (from: number) => { readonly keys: ReadonlyArray<Key>; readonly upTo: number }
  /** More calls may be covered than before. */
  readonly onAnswer: () => void
}

/** One question, and what was asked in it. */
export interface Question {
  readonly mark: number
  readonly keys: ReadonlyArray<Key>
}

/** How one connection asks. */
export interface Asker {
  /** Waits until somebody waits for an answer that was not asked for yet. */
  readonly wanted: Effect.Effect<void>
  /** Makes the next question. */
  readonly next: () => Question
  /** It was answered. */
  readonly answered: (question: Question, answer: PeerProtocol.Probed) => void
  /** It was not answered, and is asked again. */
  readonly unanswered: () => void
}

/** What peers know of the time. */
export class Probes extends Context.Service<
  Probes,
  {
    /** The mark of a call, or of a question, that is made now. */
    readonly mark: () => number
    /** Says who waits. */
    readonly serve: (waiting: Waiting) => void
    /** Somebody waits. */
    readonly wake: () => void
    /** What peers have answered. */
    readonly tracker: () => ProbeTracker.ProbeTracker
    /** The highest clock of all answers since nobody waited. */
    readonly clock: () => HybridLogicalClock.HybridLogicalClock
    /** Nobody waits: what was answered concerns nobody any more. */
    readonly rest: () => void
    /** A connection to a peer that asks. */
    readonly asker: (peer: ReplicaId) => Asker
  }
>()("@quorum/core/Probes") {}

/** Starts without anybody waiting. */
export const make: Effect.Effect<Probes["Service"], never, ReplicaSet | ReplicaClock> = Effect.gen(function* () {
  const { peers } = yield* ReplicaSet
  const ownClock = yield* ReplicaClock
  let tracker = ProbeTracker.make(peers.length + 1)
  let highest = HybridLogicalClock.zero
  let last = 0
  let waiting: Waiting | undefined
  /** How the connections that wait for somebody to wait are woken. */
  let resting: Array<() => void> = []
  const mark = () => ++last

  const count = (peer: ReplicaId, asked: number, clock: HybridLogicalClock.HybridLogicalClock): void => {
    highest = HybridLogicalClock.receive(highest, clock, Number.POSITIVE_INFINITY)
    tracker = ProbeTracker.answer(tracker, peer, asked)
    waiting?.onAnswer()
  }

  const asker = (peer: ReplicaId): Asker => {
    let asked = 0
    /** The peer keeps keys of versions that no clock follows, and has to be asked about those that are written. */
    let keepsKeys = false
    const again = (): void => void (asked = 0)
    const isWanted = (): boolean => (waiting?.newest() ?? -1) >= asked
    // Resumed within `wake`: a latch would take one more turn of the event loop, for which each write waits.
    const rest = Effect.callback<void>((resume) => {
      const wake = (): void => resume(Effect.void)
      resting.push(wake)
      return Effect.sync(() => void (resting = resting.filter((each) => each !== wake)))
    })
    const wanted: Effect.Effect<void> = Effect.suspend(() =>
      isWanted() ? Effect.void : Effect.flatMap(rest, () => wanted)
    )
    return {
      wanted,
      next: () => {
        const from = tracker.answered.get(peer) ?? 0
        const { keys, upTo } = (keepsKeys ? waiting?.keys(from) : undefined) ?? everything
        asked = Math.min(mark(), upTo)
        return { mark: asked, keys }
      },
      answered: (question, { clock, far, versions }) => {
        const isAnswer = keepsKeys || !far
        keepsKeys = far
        // What it keeps may be newer than its clock: it is asked again, with the keys.
        if (!isAnswer) return again()
        for (const { clock: version, index } of versions) {
          const key = question.keys[index]
          if (key !== undefined) ownClock.heard(key, version)
        }
        count(peer, question.mark, clock)
      },
      unanswered: again
    }
  }

  return Probes.of({
    mark,
    serve: (who) => void (waiting = who),
    wake: () => {
      if (resting.length === 0) return
      const woken = resting
      resting = []
      for (const wake of woken) wake()
    },
    tracker: () => tracker,
    clock: () => highest,
    rest: () => void (highest = HybridLogicalClock.zero),
    asker
  })
})

/** {@link make} as a layer. */
export const layer: Layer.Layer<Probes, never, ReplicaSet | ReplicaClock> = Layer.effect(Probes, make)

// ---------------------------------------------------------------------------------------------------------------------

const everything = { keys: [], upTo: Number.POSITIVE_INFINITY }
