/**
 * How one connection asks a peer for its clock: when, for which keys, and what an answer is worth.
 */
import { Effect } from "effect"
import type * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import type { Key, ReplicaClock } from "../../log/ReplicaClock.ts"
import type * as PeerProtocol from "../PeerProtocol.ts"
import type * as AskOrder from "./AskOrder.ts"

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

/** A connection that joins those who ask. */
export const make = (options: {
  readonly order: AskOrder.AskOrder
  readonly ownClock: ReplicaClock["Service"]
  /** The mark of a question that is made now. */
  readonly mark: () => number
  /** The keys of the calls that this peer has not answered, and the mark of the first whose keys are too many. */
  readonly keys: () => { readonly keys: ReadonlyArray<Key>; readonly upTo: number } | undefined
  readonly onAsked: () => void
  /** The question of a mark was answered with a clock. */
  readonly onAnswer: (mark: number, clock: HybridLogicalClock.HybridLogicalClock) => void
  /** No answer comes here, and others have to be asked. */
  readonly onMissing: () => void
}): Asker => {
  const { order, ownClock } = options
  const own: AskOrder.Asking = { mark: 0, isUnderWay: false, wake: undefined }
  order.join(own)
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
      if (!order.isWanted(own)) return rest
      own.mark = Number.POSITIVE_INFINITY
      return Effect.succeed(false)
    }),
    next: () => {
      const { keys, upTo } = (keepsKeys ? options.keys() : undefined) ?? everything
      own.mark = Math.min(options.mark(), upTo)
      own.isUnderWay = true
      order.asked()
      options.onAsked()
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
      ownClock.told(clock)
      order.answered(own)
      options.onAnswer(question.mark, clock)
    },
    unanswered: () => {
      own.mark = 0
      own.isUnderWay = false
      order.unanswered(own)
      options.onMissing()
    },
    end: () => {
      order.leave(own)
      options.onMissing()
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const everything = { keys: [], upTo: Number.POSITIVE_INFINITY }
