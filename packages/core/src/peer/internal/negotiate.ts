/**
 * What two replicas agree on in a handshake. Pure.
 */
import * as Result from "effect/Result"
import type { Tracing } from "../../events/Tracing.ts"
import type { Limits } from "../../log/Limits.ts"
import * as PeerProtocol from "../PeerProtocol.ts"

/** What both sides use on a connection. */
export interface Agreement {
  readonly version: number
  readonly features: ReadonlyArray<string>
}

/** What one side says that it can do. */
export interface Offer {
  readonly version?: number
  readonly versions?: ReadonlyArray<number>
  readonly features?: ReadonlyArray<string>
  readonly limits?: Limits
}

/** What this replica says. Who is not traced has no use for the traces of others. */
export const offer = (limits: Limits, { active }: Tracing): Required<Omit<Offer, "version">> => ({
  versions: PeerProtocol.versions,
  features: PeerProtocol.features.filter((feature) => feature !== "trace_context" || active),
  limits
})

/**
 * The highest version that both sides speak, and the features that both have; or why they cannot speak to each other.
 * Who does not say its versions speaks the one that it names. Limits are compared when both sides say theirs.
 */
export const negotiate = (
  ours: Required<Omit<Offer, "version">>,
  theirs: Offer
): Result.Result<Agreement, PeerProtocol.HandshakeRefused> => {
  const spoken = theirs.versions ?? [theirs.version ?? 1]
  const common = ours.versions.filter((version) => spoken.includes(version))
  if (common.length === 0) {
    const detail = `the caller speaks ${listOf(spoken)} of the protocol, here it is ${listOf(ours.versions)}`
    return Result.fail(new PeerProtocol.HandshakeRefused({ reason: "version", detail }))
  }
  const differing = theirs.limits === undefined ? undefined : differingLimit(ours.limits, theirs.limits)
  if (differing !== undefined) {
    const values = `${ours.limits[differing]} here and ${theirs.limits![differing]} there`
    const detail = `${differing} is ${values}; give all members the same limits`
    return Result.fail(new PeerProtocol.HandshakeRefused({ reason: "limits_differ", detail }))
  }
  const features = ours.features.filter((feature) => theirs.features?.includes(feature) === true)
  return Result.succeed({ version: Math.max(...common), features })
}

// ---------------------------------------------------------------------------------------------------------------------

const listOf = (versions: ReadonlyArray<number>): string =>
  `version${versions.length === 1 ? "" : "s"} ${versions.join(", ")}`

const differingLimit = (a: Limits, b: Limits): keyof Limits | undefined =>
  (["namespaceBytes", "keyBytes", "valueBytes"] as const).find((field) => a[field] !== b[field])
