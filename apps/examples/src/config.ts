/**
 * The configuration of a service, which every instance of it follows: a change is everywhere within moments, and an
 * instance that cannot reach any replica goes on with what it knows.
 */
import { setTimeout } from "node:timers/promises"
import { type Change, ChangesForgotten, type QuorumClient, WriteReplaced } from "@quorum/client"

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
  let newest = new Map<string, Change>()
  let position: string | undefined

  /** A change may be seen twice, and of two of a name the older one last: the version says which is the newer. */
  const isNews = (change: Change, among: ReadonlyMap<string, Change>): boolean => {
    const known = among.get(change.key)
    return known === undefined || compare(change, known) > 0
  }

  /** All that there is. What was known before counts until it is read, and no name stays of which nothing is there any more. */
  const begin = async (): Promise<void> => {
    const before = newest
    const all = new Map<string, Change>()
    for await (const change of client.watch(namespace, { until: "now", signal })) {
      position = change.position ?? position
      if (isNews(change, all)) all.set(change.key, change)
    }
    newest = all
    for (const name of new Set([...before.keys(), ...all.keys()])) {
      if (before.get(name)?.writeId !== all.get(name)?.writeId) onChange(name)
    }
  }

  const goOn = async (): Promise<void> => {
    const since = position === undefined ? {} : { since: position }
    for await (const change of client.watch(namespace, { ...since, signal })) {
      position = change.position ?? position
      if (!isNews(change, newest)) continue
      newest.set(change.key, change)
      onChange(change.key)
    }
  }

  await begin()
  const run = async (): Promise<void> => {
    let next = goOn
    while (!signal.aborted) {
      try {
        await next()
        next = goOn
      } catch (error) {
        if (signal.aborted) return
        // From this position nobody can go on any more: deletes after it are forgotten, or what it has seen is gone.
        const isOver = error instanceof ChangesForgotten || error instanceof WriteReplaced
        if (isOver) next = begin
        else console.error("the configuration cannot be followed now:", error)
        await setTimeout(isOver ? 0 : 1000, undefined, { signal }).catch(() => undefined)
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
