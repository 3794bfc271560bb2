/**
 * Which connections are asked for those who wait, and in which order: no more than make a majority, because each question
 * costs both sides a turn.
 *
 * They are those who answered first when everybody was asked, which is done for every {@link raceQuestions} questions.
 * Whoever does not answer in time is asked last from then on.
 */

/** How it stands with the questions over one connection. */
export interface Asking {
  /** Calls with lesser marks are served by what was asked last, or is asked next. */
  mark: number
  /** A question is under way. */
  isUnderWay: boolean
  /** Set while there is nothing to ask. */
  wake: ((isGathered: boolean) => void) | undefined
}

/** The order in which connections are asked. */
export type AskOrder = ReturnType<typeof make>

/**
 * No connections yet. So many of the `peers` have `needed` to answer; `newest` says the mark of the newest call that
 * waits, `undefined` when none does.
 */
export const make = (needed: number, peers: number, newest: () => number | undefined) => {
  /** In the order in which they are asked. */
  let askings: ReadonlyArray<Asking> = []
  const isAll = needed === peers
  let isEverybodyAsked = isAll
  /** Questions since everybody was asked. */
  let questions = 0
  /** Set while it is found out who answers first: those who have. */
  let first: ReadonlyArray<Asking> | undefined

  const isWanted = (asking: Asking): boolean => {
    const call = newest()
    if (call === undefined || asking.mark > call) return false
    if (isEverybodyAsked) return true
    let others = 0
    for (const { mark } of askings) if (mark > call) others++
    return others < needed
  }

  const moveBack = (is: (asking: Asking) => boolean): void => {
    askings = [...askings.filter((asking) => !is(asking)), ...askings.filter(is)]
  }

  return {
    isEverybodyAsked: (): boolean => isEverybodyAsked,
    /** There is a connection more. */
    join: (asking: Asking): void => void (askings = [...askings, asking]),
    leave: (asking: Asking): void => {
      askings = askings.filter((other) => other !== asking)
      first = first?.filter((other) => other !== asking)
    },
    /** Whether the newest call waits for a question of this one. */
    isWanted,
    /** Wakes who rests and is wanted. */
    wake: (isGathered: boolean): void => {
      if (!isEverybodyAsked && questions >= raceQuestions) {
        questions = 0
        first = []
        isEverybodyAsked = true
      }
      for (const asking of askings) {
        if (asking.wake === undefined || !isWanted(asking)) continue
        asking.mark = Number.POSITIVE_INFINITY
        // Resumed within the call: a latch would take one more turn of the event loop, for which each write waits.
        asking.wake(isGathered)
      }
    },
    /** One more was asked. */
    asked: (): void => void questions++,
    /** It was answered: the first who are make the order. */
    answered: (asking: Asking): void => {
      if (first === undefined || first.includes(asking)) return
      first = [...first, asking]
      if (first.length < needed) return
      askings = [...first, ...askings.filter((other) => !first!.includes(other))]
      first = undefined
      isEverybodyAsked = isAll
    },
    /** It has no answer that counts. */
    unanswered: (asking: Asking): void => moveBack((other) => other === asking),
    /** Those who were asked are too slow. */
    askEverybody: (): void => {
      isEverybodyAsked = true
      first = undefined
      moveBack(({ isUnderWay }) => isUnderWay)
    },
    /** Nobody waits. */
    rest: (): void => {
      if (first === undefined) isEverybodyAsked = isAll
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** How many questions there are for each that everybody is asked. */
const raceQuestions = 64
