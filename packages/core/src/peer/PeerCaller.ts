/**
 * From where a request of a peer comes, as far as the transport knows it. Who it is stands in
 * `PeerProtocol.ProvenIdentity`.
 */
import { Context } from "effect"

/** From where a request comes. */
export interface Caller {
  /**
   * What all requests of one connection have in common, and no request of another: a session is of use there alone.
   * Compared by identity. `undefined` is the one connection of a transport that does not tell them apart.
   */
  readonly connection: object | string | undefined
  /**
   * Whether what the request came by is still there, as far as that is known here: a process that ended takes it along.
   * Absent where the transport cannot tell, which is as if it were not.
   */
  readonly isOpen?: (() => boolean) | undefined
  /** The address of the caller, for the log; absent where the transport has none. */
  readonly address?: string | undefined
}

/** From where the current request comes. A transport's server provides it around each. */
export const PeerCaller = Context.Reference<Caller>("@quorum/core/PeerCaller", {
  defaultValue: () => ({ connection: undefined })
})
