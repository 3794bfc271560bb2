/**
 * What decides that something goes wrong, and proof that it did.
 *
 * A decorated transport or store asks its `Faults` before every call. A fault comes by hand (`inject`) or from a seeded
 * plan, and is counted when it has happened, not when it was asked for: a fault that never happened proves nothing.
 */

/** Any fault: a value with a name. */
export interface Fault {
  readonly _tag: string
}

/** Decides for each call in turn what goes wrong with it, if anything. */
export type Plan<Call, F extends Fault> = (call: Call) => F | undefined

/** The source of the faults of one decorated transport or store. `Tag` names all that is counted. */
export interface Faults<Call, F extends Fault, Tag extends string = F["_tag"]> {
  /**
   * The next call, or the next that `when` accepts, has this fault; `times` calls have it when that is given. Faults by
   * hand come before those of the plan, in the order in which they were injected.
   */
  readonly inject: (fault: F, options?: { readonly times?: number; readonly when?: (call: Call) => boolean }) => void
  /** Lets this plan decide from now on. */
  readonly follow: (plan: Plan<Call, F>) => void
  /** No more faults: forgets the plan and what was injected and has not happened yet. */
  readonly stop: () => void
  /** What goes wrong with this call. For decorators. */
  readonly decide: (call: Call) => F | undefined
  /** Records that a fault has happened. For decorators. */
  readonly happened: (tag: Tag) => void
  /** How often a fault of this name has happened. */
  readonly count: (tag: Tag) => number
  /** How often each fault has happened. */
  readonly counts: () => ReadonlyMap<Tag, number>
}

/** Makes a source; nothing goes wrong before something is injected or a plan is followed. */
export const make = <Call, F extends Fault, Tag extends string = F["_tag"]>(
  plan?: Plan<Call, F>
): Faults<Call, F, Tag> => {
  let current: Plan<Call, F> = plan ?? nothing
  let injected: Array<{ readonly fault: F; times: number; readonly when: (call: Call) => boolean }> = []
  const counts = new Map<Tag, number>()
  return {
    inject: (fault, options) =>
      void injected.push({ fault, times: options?.times ?? 1, when: options?.when ?? (() => true) }),
    follow: (next) => {
      current = next
    },
    stop: () => {
      current = nothing
      injected = []
    },
    decide: (call) => {
      const found = injected.find(({ when }) => when(call))
      if (found === undefined) return current(call)
      if (--found.times <= 0) injected = injected.filter((each) => each !== found)
      return found.fault
    },
    happened: (tag) => void counts.set(tag, (counts.get(tag) ?? 0) + 1),
    count: (tag) => counts.get(tag) ?? 0,
    counts: () => new Map(counts)
  }
}

/**
 * A plan drawn from a seed: each fault with its chance per call, from 0 to 1. The chances add up to 1 at most. The same
 * seed gives the same faults to the same calls in the same order.
 */
export const seeded = <F extends Fault>(
  seed: number,
  chances: ReadonlyArray<readonly [chance: number, fault: F]>
): Plan<unknown, F> => {
  const random = generator(seed)
  return () => {
    let draw = random()
    for (const [chance, fault] of chances) {
      if (draw < chance) return fault
      draw -= chance
    }
    return undefined
  }
}

/** Numbers from 0 to below 1, the same for the same seed: mulberry32 (Tommy Ettinger, 2017). */
export const generator = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const nothing = () => undefined
