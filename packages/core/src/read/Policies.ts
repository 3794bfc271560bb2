/**
 * The policies of a replica: one for all namespaces, and those that have one of their own.
 */
import { Context, Duration, Effect, Layer, Result } from "effect"
import { ReplicaSet } from "../identity/ReplicaSet.ts"
import type { Write } from "../log/Entry.ts"
import * as Thrown from "../log/Thrown.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import * as QuorumPolicy from "../quorum/QuorumPolicy.ts"

/** What a write says of where it belongs. */
type Place = Pick<Write, "namespace">

/** How a replica's policies are given. */
export interface Options {
  /** The policy of namespaces that have none of their own; a majority unless given. */
  readonly policy?: QuorumPolicy.QuorumPolicy
  /** Policies of single namespaces. */
  readonly namespaces?: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>
}

/** The policies of a replica. */
export class Policies extends Context.Service<
  Policies,
  {
    /** The policy of writes whose namespace has none of its own. */
    readonly usual: QuorumPolicy.QuorumPolicy
    readonly of: (namespace: string) => QuorumPolicy.QuorumPolicy
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
 * Checks the policies. `policy.n` has to be the size of the replica set, and so in the policy of every namespace;
 * otherwise `InvalidPolicy`. A policy whose `w` was clamped is used as clamped, with a warning in the log.
 */
export const make = Effect.fnUntraced(function* ({ namespaces: own = {}, policy }: Options) {
  const n = (yield* ReplicaSet).peers.length + 1
  const usual = policy ?? (yield* Effect.fromResult(QuorumPolicy.majority(n)))
  const namespaces = new Map(Object.entries(own))
  const all = [usual, ...namespaces.values()]
  for (const each of all) {
    if (each.n !== n) {
      return yield* new QuorumError.InvalidPolicy({ detail: `n is ${each.n}, and the replica set has ${n} members` })
    }
    if (QuorumPolicy.isClamped(each)) {
      yield* Effect.logWarning(`w = ${each.requestedW} was asked for, and w = ${each.w} of ${each.n} is used`)
    }
  }
  const of = (namespace: string) => namespaces.get(namespace) ?? usual
  return Policies.of({
    usual,
    of,
    resolve: (writes, options) => {
      try {
        const w = options?.w
        const policy =
          "namespace" in writes ? of(writes.namespace) : strictestOf(writes.map((each) => of(each.namespace)))
        return w === undefined ? Result.succeed(policy) : QuorumPolicy.withW(policy, w)
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
