/**
 * Who replicates with whom: the name of the replica set, this replica, and its peers.
 *
 * Replicas are known by their ids, never by an address or by a position in a list; where a peer can be reached is the
 * transport's business.
 */
import { Context, Effect, Layer, Result, Schema } from "effect"
import * as ReplicaId from "./ReplicaId.ts"

/** The replica set is not usable as configured. `detail` names the field. */
export class InvalidReplicaSet extends Schema.TaggedError<InvalidReplicaSet>()("InvalidReplicaSet", {
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid replica set: ${this.detail}`
  }
}

/** The replica set as one replica sees it. */
export interface Members {
  /** The name of the replica set; replicas of different names refuse each other. */
  readonly cluster: string
  readonly self: ReplicaId.ReplicaId
  /** The members other than self, in the order they were given. */
  readonly peers: ReadonlyArray<ReplicaId.ReplicaId>
}

/** The replica set that a replica belongs to. */
export class ReplicaSet extends Context.Service<ReplicaSet, Members>()("@quorum/core/ReplicaSet") {}

/**
 * Checks a replica set: a name, ids that are well-formed and distinct, and self among them.
 */
export const make = (options: {
  readonly cluster: string
  readonly self: string
  readonly members: ReadonlyArray<string>
}): Result.Result<Members, InvalidReplicaSet> => {
  const fail = (detail: string) => Result.fail(new InvalidReplicaSet({ detail }))
  if (options.cluster.length === 0) return fail("cluster is empty; give the replica set a name")
  // Others would be told another name.
  if (!options.cluster.isWellFormed()) return fail("cluster has half a surrogate pair, which is no text")
  const members: Array<ReplicaId.ReplicaId> = []
  for (const member of options.members) {
    if (!isReplicaId(member)) return fail(`members: ${JSON.stringify(member)} is not a replica id`)
    if (members.includes(member)) return fail(`members: ${member} is listed twice`)
    members.push(member)
  }
  const self = members.find((member) => member === options.self)
  if (self === undefined) return fail(`self: ${JSON.stringify(options.self)} is not one of the members`)
  return Result.succeed({ cluster: options.cluster, self, peers: members.filter((member) => member !== self) })
}

/** {@link make} as a layer. */
export const layer = (options: Parameters<typeof make>[0]): Layer.Layer<ReplicaSet, InvalidReplicaSet> =>
  Layer.effect(ReplicaSet, Effect.fromResult(make(options)))

// ---------------------------------------------------------------------------------------------------------------------

const isReplicaId = Schema.is(ReplicaId.ReplicaId)
