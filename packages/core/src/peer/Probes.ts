/**
 * Asks the peers for their clocks, so that a write can be stamped after everything that a majority knows of.
 *
 * Each connection has at most one question under way, and asks the next one when the answer is here and somebody waits
 * again: one question serves all who were called before it was asked.
 */
import { Context, Effect, FiberHandle, Layer, type Scope } from "effect"
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
  /** That of the one that has waited longest. */
  readonly oldest: () => number | undefined
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
  /**
   * Waits until this peer has to be asked for somebody who waits. Says whether all who are called together have been
   * called: else a turn is waited for them.
   */
  readonly wanted: Effect.Effect<boolean>
  /** Makes the next question. */
  readonly next: () => Question
  /** It was answered. */
  readonly answered: (question: Question, answer: PeerProtocol.Probed) => void
  /** It was not answered, and others are asked. */
  readonly unanswered: () => void
  /** The connection has ended. */
  readonly end: () => void
}

/** What peers know of the time. */
export class Probes extends Context.Service<
  Probes,
  {
    /** The mark of a call, or of a question, that is made now. */
    readonly mark: () => number
    /** Says who waits. */
    readonly serve: (waiting: Waiting) => void
    /** Somebody waits; `isGathered` when all who are called together have been called. */
    readonly wake: (isGathered?: boolean) => void
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

/** How it stands with the questions over one connection. */
interface Asking {
  /** Calls with lesser marks are served by what was asked last, or is asked next. */
  mark: number
  /** A question is under way. */
  isUnderWay: boolean
  /** Set while there is nothing to ask. */
  wake: ((isGathered: boolean) => void) | undefined
}

/**
 * Starts without anybody waiting.
 *
 * No more peers are asked than make a majority, because each question costs both of them a turn: those who answered first
 * when everybody was asked, which is done for every {@link raceQuestions} questions. When somebody has waited for
 * {@link patienceMillis} everybody is asked too, and whoever did not answer in that time is asked last from then on.
 */
export const make: Effect.Effect<Probes["Service"], never, ReplicaSet | ReplicaClock | Scope.Scope> = Effect.gen(
  function* () {
    const { peers } = yield* ReplicaSet
    const ownClock = yield* ReplicaClock
    const runTimer = yield* FiberHandle.makeRuntime<never>()
    let tracker = ProbeTracker.make(peers.length + 1)
    let highest = HybridLogicalClock.zero
    let last = 0
    let waiting: Waiting | undefined
    /** In the order in which they are asked. */
    let askers: ReadonlyArray<Asking> = []
    const isAll = tracker.needed === peers.length
    let isEverybodyAsked = isAll
    /** Questions since everybody was asked. */
    let questions = 0
    /** Set while it is found out who answers first: those who have. */
    let first: ReadonlyArray<Asking> | undefined
    let isArmed = false
    const mark = () => ++last

    const count = (peer: ReplicaId, asked: number, clock: HybridLogicalClock.HybridLogicalClock): void => {
      highest = HybridLogicalClock.receive(highest, clock, Number.POSITIVE_INFINITY)
      tracker = ProbeTracker.answer(tracker, peer, asked)
      waiting?.onAnswer()
    }

    /** Whether the newest call waits for a question of this one. */
    const isWanted = (asking: Asking): boolean => {
      const newest = waiting?.newest()
      if (newest === undefined || asking.mark > newest) return false
      if (isEverybodyAsked) return true
      let others = 0
      for (const { mark } of askers) if (mark > newest) others++
      return others < tracker.needed
    }

    const wake = (isGathered = false): void => {
      if (!isEverybodyAsked && questions >= raceQuestions) {
        questions = 0
        first = []
        isEverybodyAsked = true
      }
      for (const asking of askers) {
        if (asking.wake === undefined || !isWanted(asking)) continue
        asking.mark = Number.POSITIVE_INFINITY
        // Resumed within the call: a latch would take one more turn of the event loop, for which each write waits.
        asking.wake(isGathered)
      }
      arm()
    }

    const moveBack = (is: (asking: Asking) => boolean): void => {
      askers = [...askers.filter((asking) => !is(asking)), ...askers.filter(is)]
    }

    const placed = (asking: Asking): void => {
      if (first === undefined || first.includes(asking)) return
      first = [...first, asking]
      if (first.length < tracker.needed) return
      askers = [...first, ...askers.filter((other) => !first!.includes(other))]
      first = undefined
      isEverybodyAsked = isAll
    }

    const arm = (): void => {
      if (isArmed || isEverybodyAsked || waiting?.oldest() === undefined) return
      isArmed = true
      const upTo = last
      const look = (): void => {
        isArmed = false
        if ((waiting?.oldest() ?? Number.POSITIVE_INFINITY) <= upTo) {
          isEverybodyAsked = true
          first = undefined
          moveBack(({ isUnderWay }) => isUnderWay)
        }
        wake()
      }
      runTimer(Effect.andThen(Effect.sleep(patienceMillis), Effect.sync(look)))
    }

    const asker = (peer: ReplicaId): Asker => {
      const own: Asking = { mark: 0, isUnderWay: false, wake: undefined }
      askers = [...askers, own]
      /** The peer keeps keys of versions that no clock follows, and has to be asked about those that are written. */
      let keepsKeys = false
      const rest = Effect.callback<boolean>((resume) => {
        own.wake = (isGathered) => {
          own.wake = undefined
          resume(Effect.succeed(isGathered))
        }
        return Effect.sync(() => void (own.wake = undefined))
      })
      return {
        wanted: Effect.suspend(() => {
          if (!isWanted(own)) return rest
          own.mark = Number.POSITIVE_INFINITY
          return Effect.succeed(false)
        }),
        next: () => {
          const from = tracker.answered.get(peer) ?? 0
          const { keys, upTo } = (keepsKeys ? waiting?.keys(from) : undefined) ?? everything
          own.mark = Math.min(mark(), upTo)
          own.isUnderWay = true
          questions++
          arm()
          return { mark: own.mark, keys }
        },
        answered: (question, { clock, far, versions }) => {
          const isAnswer = keepsKeys || !far
          keepsKeys = far
          own.isUnderWay = false
          // What it keeps may be newer than its clock: it is asked again, with the keys.
          if (!isAnswer) return void (own.mark = 0)
          for (const { clock: version, index } of versions) {
            const key = question.keys[index]
            if (key !== undefined) ownClock.heard(key, version)
          }
          placed(own)
          count(peer, question.mark, clock)
        },
        unanswered: () => {
          own.mark = 0
          own.isUnderWay = false
          moveBack((asking) => asking === own)
          wake()
        },
        end: () => {
          askers = askers.filter((asking) => asking !== own)
          first = first?.filter((asking) => asking !== own)
          wake()
        }
      }
    }

    return Probes.of({
      mark,
      serve: (who) => void (waiting = who),
      wake,
      tracker: () => tracker,
      clock: () => highest,
      rest: () => {
        highest = HybridLogicalClock.zero
        if (first === undefined) isEverybodyAsked = isAll
      },
      asker
    })
  }
)

/** {@link make} as a layer. */
export const layer: Layer.Layer<Probes, never, ReplicaSet | ReplicaClock> = Layer.effect(Probes, make)

// ---------------------------------------------------------------------------------------------------------------------

/** How many questions there are for each that everybody is asked. */
const raceQuestions = 64

/** How long those who are asked first have to answer before everybody is asked, in milliseconds. */
const patienceMillis = 5

const everything = { keys: [], upTo: Number.POSITIVE_INFINITY }
