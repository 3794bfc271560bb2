/**
 * The secret that the members of a replica set share, and by which they prove to each other who they are.
 *
 * Whoever has it may speak as any member: it keeps strangers out, and does not keep members apart.
 */
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { Mac } from "effect/crypto"
import { type Members, ReplicaSet } from "../identity/ReplicaSet.ts"

/** The fewest bytes of a secret. */
export const minBytes = 32

/** A secret cannot be used, or a replica without one would listen where strangers can reach it. */
export class PeersUnproven extends Schema.TaggedError<PeersUnproven>()("PeersUnproven", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** A secret, what makes proofs with it, and who shares it. */
export interface Secret {
  readonly members: Members
  readonly mac: Mac.Mac["Service"]
  readonly key: Mac.Key
}

/** The secret of this replica's set; peers prove nothing when there is none. */
export const PeerSecret = Context.Reference<Secret | undefined>("@quorum/core/PeerSecret", {
  defaultValue: () => undefined
})

/**
 * Has peers prove that they know a secret of {@link minBytes} or more, in either direction; without one, nothing. The
 * `Mac` has to answer at once, as that of Node does: frames keep their order.
 */
export const layer = (
  secret: Redacted.Redacted<string> | undefined
): Layer.Layer<never, PeersUnproven, Mac.Mac | ReplicaSet> =>
  Layer.effect(
    PeerSecret,
    Effect.gen(function* () {
      const mac = yield* Mac.Mac
      const members = yield* ReplicaSet
      if (secret === undefined) return undefined
      const bytes = new TextEncoder().encode(Redacted.value(secret).trim())
      if (bytes.length < minBytes) {
        const detail = `the secret of the peers has ${bytes.length} bytes; it needs ${minBytes} that nobody can guess`
        return yield* new PeersUnproven({ detail })
      }
      return { members, mac, key: yield* Effect.orDie(Mac.key(Mac.hmacSha256, bytes)) }
    })
  )

/**
 * Where a replica may listen when its peers prove nothing: where only this machine reaches it, which it says in its log.
 */
export const checkHost = (host: string, proves: boolean): Effect.Effect<void, PeersUnproven> => {
  if (proves) return Effect.void
  if (isLoopback(host)) {
    return Effect.logWarning(`peers prove nothing here (insecure): whoever reaches ${host} can be one`)
  }
  const detail = `without a secret of the peers a replica listens on loopback only, not on ${host}`
  return Effect.fail(new PeersUnproven({ detail }))
}

// ---------------------------------------------------------------------------------------------------------------------

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host)
