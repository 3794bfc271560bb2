/**
 * What this client did and saw, as the replicas say it: tokens, in which it looks at nothing. Each request says them, so
 * that whichever replica it is sent to comes after all of it.
 *
 * An answer's token is that of its request, and what came of it; so it takes the place of those that the request said.
 * What other requests learnt meanwhile stays beside it, until a request has said both.
 */

/** What a client did and saw. */
export interface Session {
  /** What a request says of it; nothing at first. */
  readonly text: () => string | undefined
  /** The answer to a request that said `sent`. */
  readonly learn: (sent: string | undefined, token: string | null | undefined) => void
  /** Begins anew: something that was seen is no write any more, because the only replica that had it lost it. */
  readonly forget: () => void
}

/** Nothing yet. */
export const make = (): Session => {
  let tokens: ReadonlyArray<string> = []
  return {
    text: () => (tokens.length === 0 ? undefined : tokens.join(separator)),
    learn: (sent, token) => {
      if (token === null || token === undefined || token === "") return
      const covered = new Set([...(sent?.split(separator) ?? []), token])
      tokens = withinLength([...tokens.filter((each) => !covered.has(each)), token])
    },
    forget: () => {
      tokens = []
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const separator = ", "

/** How long they may be together: half of what replicas take, and a quarter of what servers take of all headers. */
const maxLength = 4096

/** The last of them: of very many requests side by side the first are forgotten. */
const withinLength = (tokens: ReadonlyArray<string>): ReadonlyArray<string> => {
  let length = 0
  let i = tokens.length
  while (i > 0 && length + tokens[i - 1]!.length + separator.length <= maxLength) {
    i--
    length += tokens[i]!.length + separator.length
  }
  return i === 0 ? tokens : tokens.slice(i)
}
