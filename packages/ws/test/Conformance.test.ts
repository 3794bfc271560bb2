import { NodeSocket, NodeWS } from "@effect/platform-node"
import { TransportConformance, Wire } from "@quorum/testing"
import { Layer, Redacted } from "effect"
import * as WsWire from "./support/wire.ts"

TransportConformance.suite("the transport over WebSocket", Layer.succeed(Wire.Wire, WsWire.make()))

TransportConformance.suite(
  "the transport over WebSocket, with Node's own client",
  Layer.succeed(Wire.Wire, WsWire.make(NodeSocket.layerWebSocketConstructor)),
  {
    skip: [
      {
        case: "a connection that falls silent can be given up, and leaves nothing behind",
        reason: "Node's WebSocket can only say goodbye, and keeps the connection until it is answered"
      }
    ]
  }
)

TransportConformance.suite(
  "the transport over WebSocket, between members that share a secret",
  Layer.succeed(
    Wire.Wire,
    WsWire.make(NodeWS.layerWebSocketConstructor, Redacted.make("a secret of 32 bytes, or of more"))
  ),
  {
    skip: [
      {
        case: "another replica that answers at the peer's address is not counted",
        reason: "it cannot prove that it is the peer, so that no handshake is made with it: see PeerSecret.test.ts"
      }
    ]
  }
)
