/**
 * How many bytes of bodies are under way, of all clients of a server together and of each. A client may have no more of
 * them than are left for all others: alone it has half, two have a third each, and however many it sends, somebody else
 * finds room.
 */

/** A body that is under way. */
export interface Body {
  /** Says whose it is; whether it fits into what that client may have. One that does not is over: nobody keeps it. */
  readonly of: (client: string) => boolean
  /** Says how much of it is kept now, where that may be more than it began with; whether that fits. Else it is over. */
  readonly keeps: (bytes: number) => boolean
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
      let counted = bytes
      let owner: string | undefined
      let isOver = false
      const count = (more: number): void => {
        counted += more
        all += more
        if (owner !== undefined) add(owner, more)
      }
      const end = (): void => {
        if (isOver) return
        isOver = true
        count(-counted)
      }
      return {
        end,
        of: (client) => {
          if (isOver || owner !== undefined || bytes === 0) return true
          const fits = (held.get(client) ?? 0) + counted <= together - all
          if (fits) add((owner = client), counted)
          else end()
          return fits
        },
        keeps: (now) => {
          if (isOver) return true
          const more = Math.max(now, bytes) - counted
          const ofOwner = owner === undefined ? 0 : (held.get(owner) ?? 0) + more
          const fits = more <= 0 || ofOwner <= together - all - more
          if (fits) count(more)
          else end()
          return fits
        }
      }
    }
  }
}
