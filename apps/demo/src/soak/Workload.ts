/**
 * The writers of a soak: overwrites and deletes of a few hot keys that all of them share, keys of their own, and reads
 * that have to see what was written. Only what has a stamp is sent twice: each other request writes something that was
 * never written.
 */
import { Effect } from "effect"
import type { Client } from "../Client.ts"
import type { DemoSet, Member } from "../DemoSet.ts"
import * as History from "./History.ts"
import * as Random from "./Random.ts"
import type * as Recovering from "./Recovering.ts"
import * as Requests from "./Requests.ts"

/** What goes on now, for whoever injects faults, and for whoever watches. */
export interface Load {
  readonly history: History.History
  /** Requests that wait for an answer, by replica, and answers that were taken. */
  readonly inFlight: Map<Member, number>
  readonly answers: Map<Member, number>
  acknowledged: number
  notMet: number
  nothing: number
  unknown: number
  reads: number
  /** The highest acknowledged sequence of each log. */
  readonly acknowledgedUpTo: Map<string, number>
  /** When which replica was seen not to vote. */
  readonly recovering: Array<Recovering.Window>
  /** Whether the writers are to end. */
  isOver: boolean
}

/** Nothing has happened yet. */
export const make = (): Load => ({
  history: History.make(),
  inFlight: new Map(),
  answers: new Map(),
  acknowledged: 0,
  notMet: 0,
  nothing: 0,
  unknown: 0,
  reads: 0,
  acknowledgedUpTo: new Map(),
  recovering: [],
  isOver: false
})

/** The namespaces. */
export const hot = "hot"
export const own = "own"
export const pair = "pair"

/** Runs the writers until the load is over. */
export const run = (options: {
  readonly set: DemoSet
  readonly client: Client
  readonly load: Load
  readonly writers: number
  readonly seed: number
}): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: options.writers }, (_, i) => i),
    (i) => write(options, i, Random.make(options.seed * 1000 + i)),
    { concurrency: "unbounded", discard: true }
  )

// ---------------------------------------------------------------------------------------------------------------------

const hotKeys = 8

/** Pairs of keys of which both are always written by one entry. */
const pairs = 4

/** How long a writer waits before its next request, in milliseconds: 20 on average. */
const thinkMillis = 40

/** One writer, until the load is over. */
const write = Effect.fnUntraced(function* (
  { client, set, load }: { readonly set: DemoSet; readonly client: Client; readonly load: Load },
  index: number,
  random: Random.Random
) {
  const requests = Requests.make({ client, set, load }, random)
  const { commit, read } = requests
  const mine: Array<string> = []
  let made = 0

  /** A replica that runs: mostly its own, so that all replicas are written to. */
  const choose = (): Member | undefined => {
    const alive = set.alive()
    const home = set.members[index % set.members.length]!
    if (alive.length === 0) return undefined
    return alive.includes(home) && random(4) > 0 ? home : Random.pick(random, alive)
  }

  /** Writes both keys of a pair as one entry. Another replica has to show both. */
  const commitPair = Effect.fnUntraced(function* (member: Member) {
    const keys = halvesOf(random(pairs))
    const operations = yield* requests.commitAtomic(member, pair, keys)
    const other = choose()
    if (operations[0]!.outcome !== "acknowledged" || other === undefined || random(3) > 0) return
    for (const [i, after] of operations.entries()) yield* read(other, pair, keys[i]!, { after })
  })

  const step = Effect.fnUntraced(function* (member: Member) {
    const chosen = random(100)
    if (chosen < 20) {
      const consistency = chosen < 14 ? "linearizable" : "quorum"
      if (chosen % 4 === 0)
        return yield* read(member, pair, Random.pick(random, halvesOf(random(pairs))), { consistency })
      return yield* read(member, hot, `k${random(hotKeys)}`, { consistency })
    }
    if (chosen < 26) return yield* commitPair(member)
    const isHot = chosen < 60
    const isNew = !isHot && (mine.length === 0 || chosen < 85)
    const key = isHot ? `k${random(hotKeys)}` : isNew ? `${index}-${made++}` : Random.pick(random, mine)
    const namespace = isHot ? hot : own
    const kind = isNew || random(4) > 0 ? "put" : "delete"
    if (isNew) mine.push(key)
    if (mine.length > longestMemory) mine.shift()
    const operation = yield* commit(member, kind, namespace, key)
    // A session: another replica has to show it.
    const other = choose()
    if (operation.outcome === "acknowledged" && other !== undefined && random(3) === 0) {
      yield* read(other, namespace, key, { after: operation })
    }
  })

  while (!load.isOver) {
    const member = choose()
    if (member !== undefined) yield* step(member)
    yield* Effect.sleep(1 + random(thinkMillis))
  }
})

const halvesOf = (index: number): ReadonlyArray<string> => [`p${index}-a`, `p${index}-b`]

/** How many of its own keys a writer knows, to write to again. */
const longestMemory = 20
