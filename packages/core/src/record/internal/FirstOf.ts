/**
 * The first of many items, found in one pass: a heap of as many as are wanted, with the last of them on top (D. E. Knuth,
 * The Art of Computer Programming 3, section 5.2.3).
 */

/** Collects the first `limit` of distinct items, by an order. */
export const make = (limit: number, compare: (a: number, b: number) => number) => {
  const heap: Array<number> = []

  const sink = (item: number): void => {
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && compare(heap[child + 1]!, heap[child]!) > 0) child++
      if (compare(item, heap[child]!) >= 0) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = item
  }

  const rise = (item: number): void => {
    let at = heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (compare(item, heap[parent]!) <= 0) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = item
  }

  return {
    /** Whether an item may be among the first: most are not, and are passed over by one look. */
    isWanted: (item: number): boolean => heap.length < limit || (limit > 0 && compare(item, heap[0]!) < 0),
    /** Takes in an item that is wanted. */
    add: (item: number): void => {
      if (heap.length < limit) rise(item)
      else sink(item)
    },
    inOrder: (): ReadonlyArray<number> => heap.toSorted(compare)
  }
}
