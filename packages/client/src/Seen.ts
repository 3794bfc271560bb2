/**
 * What this client has written and read lately: for each record a write that no read of it may be older than. So a client
 * sees its own writes at whatever replica it asks.
 */
import type { Clock, Place } from "./Record.ts"

/** What a client has seen. */
export interface Seen {
  /** A write of the record was acknowledged. */
  readonly written: (place: Place, write: Write) => void
  /** A read that had to show `atLeast` has shown a write: that, or a newer one. */
  readonly read: (place: Place, atLeast: string | undefined, writeId: string) => void
  /** The write turned out to be none any more: a read had shown what its replica then lost. */
  readonly forget: (place: Place, writeId: string) => void
  /** The write that a read of the record has to show, or a newer one. */
  readonly of: (place: Place) => string | undefined
}

/** Nothing yet. It remembers so many records. */
export const make = (capacity = 10_000): Seen => {
  const writes = new Map<string, Known>()
  const note = (name: string, known: Known): void => {
    // The newest stand last, and the first is forgotten.
    writes.delete(name)
    writes.set(name, known)
    if (writes.size > capacity) writes.delete(writes.keys().next().value!)
  }
  return {
    written: (place, { clock, tie, writeId }) => {
      const name = nameOf(place)
      const known = writes.get(name)?.version
      // Of two that were under way at once the older one may be answered last.
      if (known === undefined || isBefore(known, { clock, tie })) note(name, { writeId, version: { clock, tie } })
    },
    read: (place, atLeast, writeId) => {
      const name = nameOf(place)
      // What was written meanwhile may be newer than what was read.
      if (writeId !== atLeast && writes.get(name)?.writeId === atLeast) note(name, { writeId, version: undefined })
    },
    forget: (place, writeId) => {
      if (writes.get(nameOf(place))?.writeId === writeId) writes.delete(nameOf(place))
    },
    of: (place) => writes.get(nameOf(place))?.writeId
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** What orders the writes of a record. */
interface Version {
  readonly clock: Clock
  readonly tie: string
}

type Write = Version & { readonly writeId: string }

interface Known {
  readonly writeId: string
  /** Not known of what was read. */
  readonly version: Version | undefined
}

const isBefore = (a: Version, b: Version): boolean =>
  a.clock.wallTime - b.clock.wallTime || a.clock.logical - b.clock.logical
    ? (a.clock.wallTime - b.clock.wallTime || a.clock.logical - b.clock.logical) < 0
    : a.tie < b.tie

const nameOf = ({ key, namespace }: Place): string => `${namespace}\0${key}`
