/**
 * So many connections at most, of which an address that has more than others loses the next one. Pure.
 */

/** Connections by a key, which no two of them share. */
export interface Pool {
  /** Takes a connection. The one that has to go for it, which may be itself; its key is taken out. */
  readonly add: (key: string, address: string) => string | undefined
  /** It is gone, or has become something else. */
  readonly remove: (key: string) => boolean
  readonly has: (key: string) => boolean
}

/** Starts with none. `loses` says whether the address that has most loses what it has for longest, or what is new. */
export const make = (capacity: number, loses: "oldest" | "newest"): Pool => {
  const addresses = new Map<string, string>()
  const held = new Map<string, Set<string>>()

  const remove = (key: string): boolean => {
    const address = addresses.get(key)
    if (address === undefined) return false
    addresses.delete(key)
    const keys = held.get(address)!
    keys.delete(key)
    if (keys.size === 0) held.delete(address)
    return true
  }

  /** Of several that have as many, the one that has been here for longest. */
  const most = (): Set<string> => {
    let found = new Set<string>()
    for (const keys of held.values()) if (keys.size > found.size) found = keys
    return found
  }

  return {
    add: (key, address) => {
      if (addresses.has(key)) return undefined
      addresses.set(key, address)
      const keys = held.get(address)
      if (keys === undefined) held.set(address, new Set([key]))
      else keys.add(key)
      if (addresses.size <= capacity) return undefined
      const loser = Array.from(most()).at(loses === "oldest" ? 0 : -1)
      if (loser !== undefined) remove(loser)
      return loser
    },
    remove,
    has: (key) => addresses.has(key)
  }
}
