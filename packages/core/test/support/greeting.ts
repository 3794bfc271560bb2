/** What a replica of an incarnation says of itself in a handshake: it votes, remembers nothing, and knows of nobody. */
import type { LogId } from "../../src/index.ts"
import { HybridLogicalClock } from "../../src/index.ts"
import { type RunId, type PeerProtocol } from "../../src/adapter.ts"

export const says = (incarnation: string): Pick<PeerProtocol.Hello, keyof typeof PeerProtocol.says> => ({
  incarnation: incarnation as LogId.Incarnation,
  run: incarnation as RunId.RunId,
  starts: 1,
  startedAt: 0,
  voting: true,
  blank: false,
  members: {},
  remembered: [],
  clock: HybridLogicalClock.zero
})
