/**
 * The secret that the members of a replica set share, and by which they prove to each other who they are.
 *
 * Whoever has it may speak as any member: it keeps strangers out, and does not keep members apart.
 */
import { Context, Effect, FileSystem, Layer, Redacted, Schema } from "effect"
import { type Members, ReplicaSet } from "../identity/ReplicaSet.ts"
import * as PeerCodes from "./PeerCodes.ts"

/** The fewest bytes of a secret. */
export const minBytes = 32

/** A secret cannot be used, or a replica without one would listen where strangers can reach it. */
export class PeersUnproven extends Schema.TaggedError<PeersUnproven>()("PeersUnproven", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** The first is that by which this replica proves itself when it is called; who calls may use any of them. */
export type Provers = readonly [PeerCodes.Prover, ...ReadonlyArray<PeerCodes.Prover>]

/** A secret, what makes proofs with it, and who shares it. */
export interface Secret {
  readonly members: Members
  readonly codes: PeerCodes.PeerCodes["Service"]
  /** Those that count now. One that is no longer among them takes its channels along. */
  readonly provers: () => Provers
}

/** A secret, or the file that holds it, of which what changes counts within seconds. */
export type Given = Redacted.Redacted<string> | { readonly file: string }

/** The secret of this replica's set; peers prove nothing when there is none. */
export const PeerSecret = Context.Reference<Secret | undefined>("@quorum/core/PeerSecret", {
  defaultValue: () => undefined
})

/**
 * Has peers prove that they know a secret of {@link minBytes} or more, in either direction; without one, nothing.
 *
 * Several secrets, a line each, are for an exchange: first all members get the new one as their second, then as their first
 * with the old one after it, then alone.
 */
export const layer = (
  secret: Redacted.Redacted<string> | undefined
): Layer.Layer<never, PeersUnproven, PeerCodes.PeerCodes | ReplicaSet> =>
  Layer.effect(
    PeerSecret,
    Effect.gen(function* () {
      const codes = yield* PeerCodes.PeerCodes
      const members = yield* ReplicaSet
      if (secret === undefined) return undefined
      const provers = yield* reader(codes)(Redacted.value(secret))
      return { members, codes, provers: () => provers }
    })
  )

/**
 * {@link layer} with the secrets in a file, which is read again every second: an exchange needs no restart. The first time
 * it has to be usable; later, what is not changes nothing, and the log says so.
 */
export const layerFile = (
  path: string
): Layer.Layer<never, PeersUnproven, PeerCodes.PeerCodes | ReplicaSet | FileSystem.FileSystem> =>
  Layer.effect(
    PeerSecret,
    Effect.gen(function* () {
      const codes = yield* PeerCodes.PeerCodes
      const members = yield* ReplicaSet
      const files = yield* FileSystem.FileSystem
      const proversIn = reader(codes)
      const read = files.readFileString(path).pipe(
        Effect.mapError(({ reason }) => new PeersUnproven({ detail: `${path} cannot be read (${reason._tag})` })),
        Effect.flatMap(proversIn)
      )
      let provers = yield* read
      let failed: string | undefined
      const again = Effect.matchEffect(read, {
        onSuccess: (now) => {
          failed = undefined
          if (now.length === provers.length && now.every((prover, i) => prover === provers[i])) return Effect.void
          provers = now
          return Effect.logInfo(`the secrets of the peers have changed, and count from now on: there are ${now.length}`)
        },
        onFailure: ({ message }) => {
          if (failed === message) return Effect.void
          failed = message
          return Effect.logError(`the secrets of the peers cannot be used, and stay what they were: ${message}`)
        }
      })
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(reloadMillis), again)))
      return { members, codes, provers: () => provers }
    })
  )

/** How often the file is read, in milliseconds. */
const reloadMillis = 1000

/** Reads secrets, a line each. One that was there the time before has the prover that it had. */
const reader = (codes: PeerCodes.PeerCodes["Service"]) => {
  let known = new Map<string, PeerCodes.Prover>()
  return Effect.fnUntraced(function* (text: string): Effect.fn.Return<Provers, PeersUnproven> {
    const [first = "", ...others] = text
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "")
    const next = new Map<string, PeerCodes.Prover>()
    const proverOf = Effect.fnUntraced(function* (line: string) {
      const bytes = yield* keyOf(line)
      const prover = known.get(line) ?? next.get(line) ?? codes.prover(bytes)
      next.set(line, prover)
      return prover
    })
    const provers: Provers = [yield* proverOf(first), ...(yield* Effect.forEach(others, proverOf))]
    known = next
    return provers
  })
}

const keyOf = Effect.fnUntraced(function* (text: string) {
  const bytes = new TextEncoder().encode(text)
  if (bytes.length < minBytes) {
    const detail = `the secret of the peers has ${bytes.length} bytes; it needs ${minBytes} that nobody can guess`
    return yield* new PeersUnproven({ detail })
  }
  return bytes
})

/** Whether peers prove nothing to this replica, so that whoever reaches its port can be one. */
export const Insecure = Context.Reference<boolean>("@quorum/core/Insecure", { defaultValue: () => false })

/** Whether only this machine reaches it. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host)

/** Where a replica listens, and what peers prove there. */
export interface Listening {
  readonly host: string
  /** Whether they prove who they are: by a secret, by certificates, or to the application. */
  readonly proves: boolean
  /** Whether it was asked for that they prove nothing. */
  readonly insecure: boolean
}

/**
 * What stands against listening so; `undefined` is nothing. Peers that prove nothing are asked for by name, and on this
 * machine alone. A set of one has no peers: nobody can be one, and the clients of it stay on this machine all the same.
 */
export const objection = (
  { host, insecure, proves }: Listening,
  { peers }: Pick<Members, "peers">
): string | undefined => {
  if (proves && insecure) return "insecure says that peers prove nothing, and yet they have to; take one of both away"
  if (proves) return undefined
  if (!isLoopback(host)) return `without a secret of the peers a replica listens on loopback only, not on ${host}`
  return insecure || peers.length === 0
    ? undefined
    : "peers prove nothing: give a secret that all members share (openssl rand -hex 32), or tls; or insecure: true, on this machine only, where whoever reaches the port can be a peer"
}

/** Lets a replica listen, or fails with the {@link objection}. Says in its log and its status when peers prove nothing. */
export const layerListening = (listening: Listening): Layer.Layer<never, PeersUnproven, ReplicaSet> =>
  Layer.effect(
    Insecure,
    Effect.gen(function* () {
      const members = yield* ReplicaSet
      const detail = objection(listening, members)
      if (detail !== undefined) return yield* new PeersUnproven({ detail })
      if (listening.proves || members.peers.length === 0) return false
      yield* Effect.logWarning(`peers prove nothing here (insecure): whoever reaches ${listening.host} can be one`)
      return true
    })
  )
