import { NodeSocket } from "@effect/platform-node"
import { TransportConformance, Wire } from "@quorum/testing"
import { Layer } from "effect"
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
