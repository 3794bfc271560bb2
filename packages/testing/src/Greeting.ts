/**
 * Handshakes for tests of a transport or a server: what a replica says that has just begun, votes, remembers nothing and
 * holds nothing.
 */
import { type LogId, ReplicaId } from "@quorum/core"
import { PeerProtocol, type RunId } from "@quorum/core/adapter"

/** The handshake of a replica, in the set `test` unless given. */
export const hello = (
  replica: string,
  {
    cluster = "test",
    incarnation = "00000000000000aa"
  }: { readonly cluster?: string; readonly incarnation?: string } = {}
): PeerProtocol.Hello => ({
  version: PeerProtocol.versions[0],
  cluster,
  replica: ReplicaId.make(replica),
  incarnation: incarnation as LogId.Incarnation,
  run: "00000000000000f1" as RunId.RunId,
  starts: 1,
  startedAt: 0,
  voting: true,
  blank: false,
  members: {},
  remembered: [],
  clock: { wallTime: 1, logical: 2 },
  vector: [],
  sentAt: 0
})
