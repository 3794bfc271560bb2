/**
 * The metrics of the peers, and of what goes on between them and this replica.
 */
import { define } from "./Definition.ts"

/** They are by peer where it matters which one. */
export const peerDefinitions = define({
  peerUp: {
    name: "quorum.peer.up",
    kind: "gauge",
    unit: "1",
    attributes: ["quorum.peer"],
    help: "1 while a peer can be reached and stores what it gets, otherwise 0."
  },
  peerLag: {
    name: "quorum.peer.lag",
    kind: "gauge",
    unit: "{entry}",
    attributes: ["quorum.peer"],
    help: "Entries of this replica's log that a peer is not known to hold."
  },
  peerLagTime: {
    name: "quorum.peer.lag.time",
    kind: "gauge",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "Age of the oldest of those entries; at most the time since this replica started. 0 when there are none."
  },
  peerLagSize: {
    name: "quorum.peer.lag.size",
    kind: "gauge",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of those entries, as far as they were appended since this replica started."
  },
  peerPushes: {
    name: "quorum.peer.pushes.in_flight",
    kind: "gauge",
    unit: "{push}",
    attributes: ["quorum.peer"],
    help: "Pushes to a peer that have no answer yet."
  },
  peerPushesLimit: {
    name: "quorum.peer.pushes.limit",
    kind: "gauge",
    unit: "{push}",
    attributes: [],
    help: "How many pushes to one peer may be under way at once, by the transport."
  },
  peerPushSize: {
    name: "quorum.peer.pushes.in_flight.size",
    kind: "gauge",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of the entries in those pushes."
  },
  peerConnectionSize: {
    name: "quorum.peer.connection.waiting.size",
    kind: "gauge",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of requests that wait in the connection to a peer. Absent with a transport that cannot know it, as HTTP."
  },
  peerAckedAt: {
    name: "quorum.peer.last_ack.timestamp",
    kind: "gauge",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "When a peer acked last, in seconds since the epoch; 0 before the first time since this replica started."
  },
  peerConnects: {
    name: "quorum.peer.connects",
    kind: "counter",
    unit: "{connection}",
    attributes: ["quorum.peer"],
    help: "How often the link to a peer came up."
  },
  peerLosses: {
    name: "quorum.peer.losses",
    kind: "counter",
    unit: "{connection}",
    attributes: ["quorum.peer"],
    help: "How often the link to a peer went down."
  },
  peerRejections: {
    name: "quorum.peer.rejections",
    kind: "counter",
    unit: "{entry}",
    attributes: ["quorum.peer"],
    help: "Entries that a peer will not take, so that nothing after them can follow."
  },
  peerDrifted: {
    name: "quorum.peer.drifted",
    kind: "gauge",
    unit: "{log}",
    attributes: ["quorum.peer"],
    help: "Logs of which a peer's copy differs from the one here."
  },
  peerHoldsBack: {
    name: "quorum.peer.holds_back",
    kind: "gauge",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "How long the peer, holding least of some log, has held back how far all members hold it."
  },
  peerAway: {
    name: "quorum.peer.away",
    kind: "gauge",
    unit: "1",
    attributes: ["quorum.peer"],
    help: "1 when this replica has marked the peer as away too long, 2 when a majority has and goes on without it, or 0."
  },
  peerSkew: {
    name: "quorum.peer.clock.skew",
    kind: "gauge",
    unit: "s",
    attributes: ["quorum.peer"],
    help: "A peer's clock minus this replica's, at the last handshake."
  },
  handshakesRefused: {
    name: "quorum.handshakes.refused",
    kind: "counter",
    unit: "{handshake}",
    attributes: ["quorum.direction", "error.type"],
    help: "Handshakes that were refused: ours by a peer (outgoing), or a caller's here (incoming)."
  },
  connectionsEnded: {
    name: "quorum.connections.ended",
    kind: "counter",
    unit: "{connection}",
    attributes: ["error.type"],
    help: "Connections that the server of this replica ended, by the bound that they were beyond."
  },
  catchUpEntries: {
    name: "quorum.catch_up.entries",
    kind: "counter",
    unit: "{entry}",
    attributes: ["quorum.peer"],
    help: "Entries that were fetched from a peer because this replica missed them."
  },
  catchUpSize: {
    name: "quorum.catch_up.size",
    kind: "counter",
    unit: "By",
    attributes: ["quorum.peer"],
    help: "Bytes of those entries."
  }
})
