/** What is known about one peer, and how what is learnt of it changes that. */
import type * as LogId from "../../identity/LogId.ts"
import type * as ReplicaId from "../../identity/ReplicaId.ts"
import type { Watermark } from "../../log/Watermark.ts"
import type { Heard, Link, PeerEvent, Pushes } from "../Peers.ts"

/** What is known about one peer as of now. */
export interface Known {
  readonly id: ReplicaId.ReplicaId
  link: Link
  incarnation: LogId.Incarnation | undefined
  voting: boolean
  notVotingSinceMillis: number | undefined
  readonly watermarks: Map<LogId.LogId, Watermark>
  readonly heard: Map<LogId.LogId, Heard>
  readonly drifted: Set<LogId.LogId>
  readonly rejected: Map<LogId.LogId, { readonly seq: number; readonly detail: string }>
  clockSkewMillis: number | undefined
  pushes: Pushes
}

/** Before anything was heard of a peer. */
export const nothing = (id: ReplicaId.ReplicaId): Known => ({
  id,
  link: { _tag: "Connecting" },
  incarnation: undefined,
  voting: true,
  notVotingSinceMillis: undefined,
  watermarks: new Map(),
  heard: new Map(),
  drifted: new Set(),
  rejected: new Map(),
  clockSkewMillis: undefined,
  pushes: noPushes
})

/** Takes in what was learnt. Whether it says anything new. */
export const learn = (state: Known, event: PeerEvent): boolean => {
  switch (event._tag) {
    case "Ack": {
      const { incarnation, watermark } = event
      if (!state.voting || (state.incarnation ?? incarnation) !== incarnation) return false
      // The chains were compared: the two copies are one again, so far.
      if (event.how === "vector") state.drifted.delete(watermark.log)
      if (state.drifted.has(watermark.log)) return false
      const known = state.watermarks.get(watermark.log)
      if (known !== undefined && known.seq >= watermark.seq) return false
      state.watermarks.set(watermark.log, watermark)
      state.heard.set(watermark.log, event.how)
      return true
    }
    case "TakenBack":
      state.watermarks.clear()
      return true
    case "Drift": {
      if (state.drifted.has(event.log)) return false
      state.drifted.add(event.log)
      state.watermarks.delete(event.log)
      return true
    }
    case "Replaced":
      state.watermarks.delete(event.log)
      state.drifted.delete(event.log)
      return true
    case "Rejected":
      if (state.rejected.has(event.log)) return false
      state.rejected.set(event.log, { seq: event.seq, detail: event.detail })
      return true
    case "Link":
      state.link = event.link
      return true
  }
}

const noPushes: Pushes = { count: 0, bytes: 0 }
