/**
 * What both ends of the peer protocol over HTTP agree on: the path, the encoding, and how large a message may be.
 */
import { Entry, Limits, PeerProtocol } from "@quorum/core"
import type { Layer } from "effect"
import { RpcSerialization } from "effect/rpc"

/** Where a replica answers its peers. */
export const path = "/peer"

/** The content type of requests and answers. Anything else is not the protocol. */
export const contentType = "application/vnd.effect.rpc+schema-binary"

/**
 * Bytes of a message beside its entries: names, numbers, two chain checksums, the frame. A few hundred bytes in truth.
 */
const envelopeBytes = 64 * 1024

/**
 * The most bytes of one request or answer, in both directions.
 *
 * A batch holds at most `PeerProtocol.maxBatchBytes` of entries (1 MiB), unless a single entry is larger: an entry is
 * its header, namespace, key and value, so its largest size follows from the limits of writes. The greater of the two,
 * and 64 KiB for the rest. A smaller limit would let large writes be committed and never be replicated (law L25), so
 * the limits have to be those of the members' writers, the same on all of them.
 *
 * A handshake carries no entries, so its version vector may use all of it: more than 8,000 logs.
 */
export const maxBytes = (limits: Limits.Limits = Limits.defaults): number =>
  Math.max(
    PeerProtocol.maxBatchBytes,
    Entry.headerBytes + limits.namespaceBytes + limits.keyBytes + limits.valueBytes
  ) + envelopeBytes

/** The encoding, which reads no frame beyond {@link maxBytes}. */
export const layerSerialization = (limits?: Limits.Limits): Layer.Layer<RpcSerialization.RpcSerialization> =>
  RpcSerialization.layerSchemaBinary({ maxFrameSize: maxBytes(limits) })
