/**
 * The policies of a replica: one for all namespaces, and those that have one of their own.
 */
import { Duration, Effect, Result } from "effect"
import * as Thrown from "../../log/Thrown.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"

/** The policies of a replica. */
export interface Policies {
  /** The policy of writes whose namespace has none of its own. */
  readonly usual: QuorumPolicy.QuorumPolicy
  readonly of: (namespace: string) => QuorumPolicy.QuorumPolicy
  /** The policy of a write that may ask for a `w` of its own. What throws while that is read is no `w` either. */
  readonly resolve: (
    namespace: string,
    options: { readonly w?: QuorumPolicy.W } | undefined
  ) => Result.Result<QuorumPolicy.QuorumPolicy, QuorumError.InvalidPolicy>
  /** The longest that any write may wait for acks, in milliseconds. */
  readonly longestTimeoutMillis: number
}

/** Checks that every policy fits a replica set of `n`, and says in the log which were clamped. */
export const make = Effect.fnUntraced(function* (
  n: number,
  policy: QuorumPolicy.QuorumPolicy | undefined,
  own: Readonly<Record<string, QuorumPolicy.QuorumPolicy>>
) {
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
  const policies: Policies = {
    usual,
    of,
    resolve: (namespace, options) => {
      try {
        const w = options?.w
        return w === undefined ? Result.succeed(of(namespace)) : QuorumPolicy.withW(of(namespace), w)
      } catch (cause) {
        return Result.fail(new QuorumError.InvalidPolicy({ detail: `w cannot be read: ${Thrown.textOf(cause)}` }))
      }
    },
    longestTimeoutMillis: Math.max(...all.map(({ ackTimeout }) => Duration.toMillis(ackTimeout)))
  }
  return policies
})
