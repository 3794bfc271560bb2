/**
 * Sorts the keys of records a part at a time, and no more than what is asked for: whoever sorts many has to let others
 * have their turn.
 *
 * Multikey quicksort (J. L. Bentley and R. Sedgewick, "Fast Algorithms for Sorting and Searching Strings", 1997) that
 * looks at six bytes of a key at once and keeps them at hand (W. Ng and K. Kakehi, "Cache Efficient Radix Sort for String
 * Sorting", 2007, section 3): what is compared are two numbers, and most keys are read from memory a few times in all.
 */

/** Keys that are sorted as they are taken. */
export interface KeySort {
  /**
   * The next keys in order, as many as `count` if that is not too much work at once: fewer, or none, are no sign of the
   * end.
   */
  readonly next: (count: number) => ReadonlyArray<number>
}

/**
 * Sorts `items`, in place. `part` says a part of the key of one as a number, part 0 first: of two keys the one whose first
 * different part is smaller comes first, and different keys have different parts. `random` draws the pivots, from 0 to
 * below 1; the order does not depend on it.
 */
export const make = (
  items: Uint32Array,
  part: (item: number, index: number) => number,
  random: () => number
): KeySort => {
  /** The part of each item at which its range is looked at. */
  const parts = new Float64Array(items.length)
  /** What is not sorted yet, the first on top: from, to, the index of the part, and how many parts are read already. */
  const ranges: Array<Range> = [{ from: 0, to: items.length, index: 0, read: 0 }]
  let budget = 0
  /** How far the items are in order, and how far they were taken. */
  let sorted = 0
  let taken = 0

  const swap = (a: number, b: number): void => {
    const item = items[a]!
    items[a] = items[b]!
    items[b] = item
    const kept = parts[a]!
    parts[a] = parts[b]!
    parts[b] = kept
  }

  /** Reads the parts of a range. Returns whether all are read. */
  const read = (range: Range): boolean => {
    const { from, index, to } = range
    const upTo = Math.min(to, from + range.read + budget)
    for (let i = from + range.read; i < upTo; i++) parts[i] = part(items[i]!, index)
    budget -= upTo - from - range.read
    range.read = upTo - from
    return upTo === to
  }

  /** Parts a range in three: below, equal to and above a part that is drawn, because keys often come in runs. */
  const split = ({ from, index, to }: Range): void => {
    const pivot = parts[from + Math.floor(random() * (to - from))]!
    let below = from
    let above = to
    for (let i = from; i < above;) {
      const each = parts[i]!
      if (each < pivot) swap(below++, i++)
      else if (each > pivot) swap(i, --above)
      else i++
    }
    budget -= to - from
    push({ from: above, to, index, read: to - above })
    push({ from: below, to: above, index: index + 1, read: 0 })
    push({ from, to: below, index, read: below - from })
  }

  const push = (range: Range): void => {
    if (range.to > range.from) ranges.push(range)
  }

  const isBefore = (a: number, b: number, index: number): boolean => {
    for (let at = index; ; at++) {
      const first = part(a, at)
      const second = part(b, at)
      if (first !== second) return first < second
    }
  }

  /** By insertion, for a few whose parts are read. */
  const insert = ({ from, index, to }: Range): void => {
    for (let i = from + 1; i < to; i++) {
      for (let j = i; j > from; j--) {
        const before = parts[j - 1]!
        const after = parts[j]!
        if (before < after || (before === after && isBefore(items[j - 1]!, items[j]!, index + 1))) break
        swap(j - 1, j)
      }
    }
    budget -= to - from
    sorted = to
  }

  return {
    next: (count) => {
      budget = workAtOnce
      while (sorted - taken < count && budget > 0) {
        const range = ranges.at(-1)
        if (range === undefined) break
        if (!read(range)) continue
        ranges.pop()
        if (range.to - range.from <= few) insert(range)
        else split(range)
      }
      const from = taken
      taken = Math.min(sorted, taken + count)
      return Array.from(items.subarray(from, taken))
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

interface Range {
  readonly from: number
  readonly to: number
  readonly index: number
  read: number
}

/** How many keys are looked at once: well below a millisecond of work. A range is split whole, which is quick. */
const workAtOnce = 4096

/** So few are sorted by insertion. */
const few = 8
