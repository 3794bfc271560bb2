/**
 * What both ends of the peer protocol over HTTP agree on: the path and the encoding.
 */
import { type Limits, PeerProtocol } from "@quorum/core"
import type { Layer } from "effect"
import { RpcSerialization } from "effect/rpc"

/** Where a replica answers its peers. */
export const path = "/peer"

/** The content type of requests and answers. Anything else is not the protocol. */
export const contentType = "application/vnd.effect.rpc+schema-binary"

/** The encoding, which reads no frame beyond `PeerProtocol.maxMessageBytes`. */
export const layerSerialization = (limits?: Limits.Limits): Layer.Layer<RpcSerialization.RpcSerialization> =>
  RpcSerialization.layerSchemaBinary({ maxFrameSize: PeerProtocol.maxMessageBytes(limits) })
