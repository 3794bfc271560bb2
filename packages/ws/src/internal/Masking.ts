/**
 * The masking of what is sent. Keys keep those who choose what is sent from making it look like something else to what
 * stands between and can read it (RFC 6455, section 10.3). Where nobody can, they cost a copy and a pass over each message
 * on either side, and nothing else: there the key is 0, under which a message is sent as it is.
 */
import { PeerSecret } from "@quorum/core/adapter"

/** What a connection to this address is opened with. */
export const optionsOf = (url: URL): { readonly generateMask?: (mask: Buffer) => void } =>
  isReadByNobody(url) ? { generateMask: (mask) => void mask.fill(0) } : {}

/** Whether nothing stands between that could read what is sent. */
const isReadByNobody = ({ hostname, protocol }: URL): boolean =>
  protocol === "wss:" || PeerSecret.isLoopback(hostname.replace(/^\[|\]$/g, ""))
