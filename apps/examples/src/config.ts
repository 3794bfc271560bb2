/**
 * The configuration of a service, which every instance of it follows: a change is everywhere within moments, and an
 * instance that cannot reach any replica goes on with what it knows.
 */
import type { Change, QuorumClient } from "@quorum/client"

/** A configuration that is followed. */
export interface Config {
  /** What is set today; undefined when nothing is. */
  readonly get: <A>(name: string) => A | undefined
  /** Follows until the signal is aborted. */
  readonly done: Promise<void>
}

/** Reads what is set, and follows it from there. `onChange` is called with every name that is set anew or removed. */
export const follow = async (
  client: QuorumClient,
  namespace: string,
  signal: AbortSignal,
  onChange: (name: string) => void = () => {}
): Promise<Config> => {
  const newest = new Map<string, Change>()
  let position: string | undefined

  /** A change may be seen twice, and of two of a name the older one last: the version says which is the newer. */
  const take = (change: Change): void => {
    position = change.position ?? position
    const known = newest.get(change.key)
    if (known !== undefined && compare(change, known) <= 0) return
    newest.set(change.key, change)
    onChange(change.key)
  }

  for await (const change of client.watch(namespace, { until: "now", signal })) take(change)
  const run = async (): Promise<void> => {
    while (!signal.aborted) {
      try {
        const since = position === undefined ? {} : { since: position }
        for await (const change of client.watch(namespace, { ...since, signal })) take(change)
      } catch (error) {
        // No replica for a while: go on from the same position.
        if (!signal.aborted) console.error("the configuration cannot be followed now:", error)
      }
    }
  }
  return {
    get: <A>(name: string) => newest.get(name)?.record?.json<A>(),
    done: run()
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const compare = (a: Change, b: Change): number =>
  a.clock.wallTime - b.clock.wallTime ||
  a.clock.logical - b.clock.logical ||
  (a.tie < b.tie ? -1 : a.tie > b.tie ? 1 : 0)
