/** The handshake of a replica that has just begun, votes, remembers nothing and holds nothing. */
import { type LogId, ReplicaId } from "@quorum/core"
import { PeerProtocol, type RunId } from "@quorum/core/adapter"

export const greeting = (replica: string): PeerProtocol.Hello => ({
  version: PeerProtocol.versions[0],
  cluster: "test",
  replica: ReplicaId.make(replica),
  incarnation: "00000000000000aa" as LogId.Incarnation,
  run: "00000000000000f1" as RunId.RunId,
  starts: 1,
  startedAt: 0,
  voting: true,
  blank: false,
  members: {},
  remembered: [],
  clock: { wallTime: 0, logical: 0 },
  vector: [],
  sentAt: 0
})
