/**
 * The keys whose deletes stay although all have swept what is older than they are, because of entries of several records:
 * an older record of the key stands in one that has to stay (needed), or stood in one that is gone here and may not be gone
 * elsewhere yet (released). They are remembered up to a bound; beyond it no delete at all is forgotten until there are
 * fewer of them.
 */
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import * as RecordKey from "../../record/RecordKey.ts"

type Clock = HybridLogicalClock.HybridLogicalClock

/** Remembers keys of so many bytes at most, of either kind. */
export const make = (maxBytes: number) => {
  /** Those that the last whole round found, and those of the round that is under way. */
  let needed: ReadonlyMap<string, boolean> = new Map()
  let isWhole = true
  let found = new Map<string, boolean>()
  let foundBytes = 0
  let isTooMuch = false
  /** Before which clock every member has to have swept. */
  const released = new Map<string, Clock>()
  let releasedBytes = 0
  /** Set when they were too many: the same for all of them. */
  let allReleased: Clock | undefined

  /** Before which clock deletes may be forgotten, when all have swept up to there. */
  const mayForget = (swept: Clock | undefined): Clock | undefined =>
    isWhole && allReleased === undefined ? swept : undefined

  return {
    mayForget,
    isNeeded: ({ key, namespace }: RecordKey.RecordKey): boolean => {
      const id = RecordKey.keyOf(namespace, key)
      return allReleased !== undefined || needed.has(id) || released.has(id)
    },
    /** Whether such an older record stays because something live is beside it. */
    isNeededForLive: ({ key, namespace }: RecordKey.RecordKey): boolean =>
      needed.get(RecordKey.keyOf(namespace, key)) === true,
    /** A round begins, when all have swept up to a clock. Returns before which one deletes may be forgotten in it. */
    begin: (swept: Clock | undefined): Clock | undefined => {
      const isPast = (after: Clock): boolean => swept !== undefined && HybridLogicalClock.compare(after, swept) < 0
      for (const [id, after] of released) {
        if (!isPast(after)) continue
        released.delete(id)
        releasedBytes -= bytesOf(id)
      }
      if (allReleased !== undefined && isPast(allReleased)) allReleased = undefined
      found = new Map()
      foundBytes = 0
      isTooMuch = false
      return mayForget(swept)
    },
    /** An older record of a deleted key stays. */
    needs: ({ key, namespace }: RecordKey.RecordKey, forLive: boolean): void => {
      const id = RecordKey.keyOf(namespace, key)
      if (isTooMuch) return
      if (found.has(id)) {
        if (forLive) found.set(id, true)
        return
      }
      found.set(id, forLive)
      foundBytes += bytesOf(id)
      if (foundBytes <= maxBytes) return
      isTooMuch = true
      found = new Map()
    },
    /** An older record of a deleted key has gone here, because of what was written at a clock. */
    releases: ({ key, namespace }: RecordKey.RecordKey, after: Clock): void => {
      const id = RecordKey.keyOf(namespace, key)
      if (allReleased !== undefined) {
        allReleased = later(allReleased, after)
        return
      }
      const before = released.get(id)
      if (before === undefined) releasedBytes += bytesOf(id)
      released.set(id, before === undefined ? after : later(before, after))
      if (releasedBytes <= maxBytes) return
      allReleased = Array.from(released.values()).reduce(later)
      released.clear()
      releasedBytes = 0
    },
    /** The round has gone over everything. */
    end: (): void => {
      needed = found
      isWhole = !isTooMuch
    }
  }
}

/** The keys whose deletes stay. */
export type KeptDeletes = ReturnType<typeof make>

// ---------------------------------------------------------------------------------------------------------------------

/** What a key takes in memory, or so. */
const bytesOf = (id: string): number => 2 * id.length + 64

const later = (a: Clock, b: Clock): Clock => (HybridLogicalClock.compare(b, a) > 0 ? b : a)
