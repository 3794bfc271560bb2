/**
 * How many bytes of bodies are under way, of all clients of a server together and of each. A client may have no more of
 * them than are left for all others: alone it has half, two have a third each, and however many it sends, somebody else
 * finds room.
 */

/** A body that is under way. */
export interface Body {
  /** Says whose it is; whether it fits into what that client may have. One that does not is over: nobody keeps it. */
  readonly of: (client: string) => boolean
  /** It has come, or will not. */
  readonly end: () => void
}

/** Counts the bodies of one server. */
export interface BodyShares {
  /** A body of so many bytes begins; nothing when all together would be more than there may be. */
  readonly begin: (bytes: number) => Body | undefined
}

/** Starts with none. */
export const make = (together: number): BodyShares => {
  const held = new Map<string, number>()
  let all = 0
  const add = (client: string, bytes: number): void => {
    const sum = (held.get(client) ?? 0) + bytes
    if (sum === 0) held.delete(client)
    else held.set(client, sum)
  }
  return {
    begin: (bytes) => {
      if (all + bytes > together) return undefined
      all += bytes
      let owner: string | undefined
      let isOver = false
      const end = (): void => {
        if (isOver) return
        isOver = true
        all -= bytes
        if (owner !== undefined) add(owner, -bytes)
      }
      return {
        end,
        of: (client) => {
          if (isOver || owner !== undefined || bytes === 0) return true
          const fits = (held.get(client) ?? 0) + bytes <= together - all
          if (fits) add((owner = client), bytes)
          else end()
          return fits
        }
      }
    }
  }
}
