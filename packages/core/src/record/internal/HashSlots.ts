/**
 * Where the write of each key starts, found by the hash of the key: a hash table with open addressing and linear probing
 * (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm L).
 */

/** What says whether the write at `start` is of the key in the head of a record that starts at `offset`. */
export type IsSameKey = (start: number, bytes: Uint8Array, offset: number, length: number) => boolean

/** No keys. */
export const make = (isSameKey: IsSameKey) => {
  let count = 0
  /** By hash, two numbers: the hash, and 1 + where the write starts; 0 is free. Never more than half full. */
  let slots = new Int32Array(256)

  const firstSlot = (hash: number): number => (hash << 1) & (slots.length - 1)

  const startAt = (slot: number): number => slots[slot + 1]! - 1

  const grow = (): void => {
    const before = slots
    slots = new Int32Array(before.length * 2)
    for (let i = 0; i < before.length; i += 2) {
      if (before[i + 1] === 0) continue
      let slot = firstSlot(before[i]!)
      while (slots[slot + 1] !== 0) slot = (slot + 2) & (slots.length - 1)
      slots[slot] = before[i]!
      slots[slot + 1] = before[i + 1]!
    }
  }

  return {
    /** How many keys. */
    count: (): number => count,
    /** The slot of a key: the one that has it, or the free one where it belongs. */
    find: (bytes: Uint8Array, offset: number, length: number, hash: number): number => {
      let slot = firstSlot(hash)
      while (true) {
        const start = startAt(slot)
        if (start < 0) return slot
        if (slots[slot] === hash && isSameKey(start, bytes, offset, length)) return slot
        slot = (slot + 2) & (slots.length - 1)
      }
    },
    /** Where the write of a slot starts; below 0 for a free one. */
    startAt,
    /** Where the write starts that the key of a hash is compared with first; below 0 when there is none. */
    firstStart: (hash: number): number => startAt(firstSlot(hash)),
    /** Gives a free slot to a key. What was found before is worth nothing after it. */
    take: (slot: number, hash: number, start: number): void => {
      slots[slot] = hash
      slots[slot + 1] = start + 1
      count++
      if (count * 4 > slots.length) grow()
    }
  }
}
