/**
 * The policies of a replica: one for all namespaces, and those that have one of their own.
 */
import { Context, Duration, Effect, Layer, Result } from "effect"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import type { Write } from "../log/Entry.ts"
import * as Thrown from "../log/Thrown.ts"
import * as CallerKey from "../record/CallerKey.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import * as QuorumPolicy from "../quorum/QuorumPolicy.ts"

/** What a write says of where it belongs. */
type Place = Pick<Write, "namespace">

/**
 * How many replicas a read asks, and what it promises.
 *
 * - `local`: this replica, and nobody else: all that it durably holds
 * - `quorum`: several replicas; the newest of their writes. With R + W > N it sees every committed write (overlap). Two
 *   reads one after the other may still see a write that is under way, and then not
 * - `linearizable`: a majority, and the newest write is answered once a majority is known to hold it durably. Writes and
 *   such reads of one key take effect one after the other, in real time; see `docs/guarantees.md`
 */
export type Consistency = "local" | "quorum" | "linearizable"

/** How a replica's policies are given. */
export interface Options {
  /** The policy of namespaces that have none of their own; a majority unless given. */
  readonly policy?: QuorumPolicy.QuorumPolicy
  /** Policies of single namespaces. */
  readonly namespaces?: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>
  /** How single namespaces are read when a read does not say; `local` unless given. */
  readonly reads?: Readonly<Record<string, Consistency>>
}

/** The policies of a replica. */
export class Policies extends Context.Service<
  Policies,
  {
    /** The policy of writes whose namespace has none of its own. */
    readonly usual: QuorumPolicy.QuorumPolicy
    readonly of: (namespace: string) => QuorumPolicy.QuorumPolicy
    /** How a namespace is read when a read does not say. */
    readonly readsOf: (namespace: string) => Consistency
    /**
     * The policy of writes that are one entry, which may ask for a `w` of their own. Where they are of several namespaces
     * it is the strictest: the greatest `w` of their policies, and the longest timeout. What throws while `w` is read is
     * no `w` either.
     */
    readonly resolve: (
      writes: Place | ReadonlyArray<Place>,
      options: { readonly w?: QuorumPolicy.W } | undefined
    ) => Result.Result<QuorumPolicy.QuorumPolicy, QuorumError.InvalidPolicy>
    /** The longest that any write may wait for acks, in milliseconds. */
    readonly longestTimeoutMillis: number
  }
>()("@quorum/core/Policies") {}

/**
 * Checks the policies, also those that were written by hand. `policy.n` has to be the size of the replica set, and so in
 * the policy of every namespace; otherwise `InvalidPolicy`. A policy whose `w` was clamped is used as clamped, with a warning in the log.
 */
export const make = Effect.fnUntraced(function* ({ namespaces: own = {}, policy, reads = {} }: Options) {
  const n = (yield* ReplicaSet).peers.length + 1
  const usual = policy ?? (yield* Effect.fromResult(QuorumPolicy.majority(n)))
  const namespaces = new Map(Object.entries(own))
  const all = [usual, ...namespaces.values()]
  for (const each of all) {
    const fault = QuorumPolicy.faultOf(each)
    if (fault !== undefined) return yield* new QuorumError.InvalidPolicy({ detail: fault })
    if (each.n !== n) {
      return yield* new QuorumError.InvalidPolicy({ detail: `n is ${each.n}, and the replica set has ${n} members` })
    }
    if (QuorumPolicy.isClamped(each)) {
      yield* Effect.logWarning(`w = ${each.requestedW} was asked for, and w = ${each.w} of ${each.n} is used`)
    }
  }
  const readsBy = new Map(Object.entries(reads))
  for (const [namespace, consistency] of readsBy) {
    const { w } = namespaces.get(namespace) ?? usual
    if (consistency === "linearizable" && w <= n / 2) {
      const detail = `linearizable reads of ${JSON.stringify(namespace)} need w of a majority of ${n}, and w is ${w}`
      return yield* new QuorumError.InvalidPolicy({ detail })
    }
  }
  // Marks are written with what they mark, and by its policy.
  const of = (namespace: string) =>
    namespaces.get(namespace) ?? namespaces.get(CallerKey.markedBy(namespace) ?? namespace) ?? usual
  /** Made once, not for every write. */
  const resolved = new Map(all.map((each) => [each, Result.succeed(each)]))
  return Policies.of({
    usual,
    of,
    readsOf: (namespace) => readsBy.get(namespace) ?? "local",
    resolve: (writes, options) => {
      try {
        const w = options?.w
        const policy =
          "namespace" in writes ? of(writes.namespace) : strictestOf(writes.map((each) => of(each.namespace)))
        return w === undefined ? (resolved.get(policy) ?? Result.succeed(policy)) : QuorumPolicy.withW(policy, w)
      } catch (cause) {
        return Result.fail(new QuorumError.InvalidPolicy({ detail: `w cannot be read: ${Thrown.textOf(cause)}` }))
      }
    },
    longestTimeoutMillis: Math.max(...all.map(({ ackTimeout }) => Duration.toMillis(ackTimeout)))
  })
})

/** {@link make} as a layer. */
export const layer = (options: Options) => Layer.effect(Policies, make(options))

// ---------------------------------------------------------------------------------------------------------------------

/** The one of which all others ask for less, or one made of several. */
const strictestOf = (policies: ReadonlyArray<QuorumPolicy.QuorumPolicy>): QuorumPolicy.QuorumPolicy =>
  policies.reduce(QuorumPolicy.strictest)
