/**
 * What both ends of the peer protocol over HTTP agree on: a request is one frame, and its answer another.
 */
import { SecureRandom } from "effect/crypto"

/** The content type of requests and answers. Anything else is not the protocol. */
export const contentType = "application/vnd.quorum.peer-frame"

/**
 * The header by which requests belong together: HTTP has no connections that a caller could keep, so it names its own.
 * The name is a secret of the caller's, since whoever knows it can use its session.
 */
export const connectionHeader = "quorum-connection"

/** A name for a connection that nobody can guess. */
export const newConnection = (): string =>
  Array.from(SecureRandom.randomBytesUnsafe(16), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** The connection that a header names; none when it is not such a name. */
export const connectionOf = (header: string | undefined): string | undefined =>
  header !== undefined && /^[0-9a-f]{32}$/.test(header) ? header : undefined
