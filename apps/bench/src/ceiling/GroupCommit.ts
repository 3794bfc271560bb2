/**
 * The ceiling's writer: writes that come while an append is under way go into the next batch together; a batch is
 * appended here, then sent to the peers, and answered when `w` replicas hold it. A few messages are in flight per peer;
 * what comes meanwhile goes into the next message together.
 */
import { WebSocket } from "ws"
import * as Codec from "./Codec.ts"
import * as Log from "./Log.ts"

interface Pending extends Codec.Write {
  readonly done: () => void
}

const maxInFlight = 4

/** Connects to the peers, which have to run, and starts an empty log. */
export const open = async (options: {
  readonly folder: string
  readonly peers: ReadonlyArray<string>
  readonly w: number
}) => {
  const log = Log.open(options.folder)
  let pending: Array<Pending> = []
  let scheduled = false
  const waiting: Array<{ readonly last: number; readonly writes: ReadonlyArray<Pending> }> = []

  const settle = (): void => {
    // The local log holds all that waits, so w - 1 peers are needed.
    const watermarks = peers.map((peer) => peer.watermark()).sort((a, b) => b - a)
    const committed = options.w === 1 ? log.head() : watermarks[options.w - 2]!
    while (waiting.length > 0 && waiting[0]!.last <= committed) {
      for (const { done } of waiting.shift()!.writes) done()
    }
  }
  const peers = await Promise.all(options.peers.map((url) => connect(url, settle)))

  const append = (): void => {
    scheduled = false
    const writes = pending
    pending = []
    const batch = Codec.encodeEntries(writes, log.head() + 1)
    log.append(batch)
    waiting.push({ last: log.head(), writes })
    for (const peer of peers) peer.send(batch)
    settle()
  }

  return {
    /** Calls `done` when w replicas hold the write durably. */
    commit: (key: string, value: Uint8Array, done: () => void): void => {
      pending.push({ key, value, done })
      if (!scheduled) {
        scheduled = true
        setImmediate(append)
      }
    },
    /** Whether every peer holds everything. */
    quiet: (): boolean => !scheduled && peers.every((peer) => peer.watermark() === log.head())
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const connect = async (url: string, onAck: () => void) => {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
  let watermark = 0
  let inFlight = 0
  let unsent: Array<Log.Batch> = []
  const flush = (): void => {
    if (inFlight === maxInFlight || unsent.length === 0) return
    inFlight++
    socket.send(Codec.encodeMessage(unsent))
    unsent = []
  }
  socket.on("message", (message: Buffer) => {
    inFlight--
    watermark = Codec.decodeAck(message)
    flush()
    onAck()
  })
  return {
    watermark: () => watermark,
    send: (batch: Log.Batch): void => {
      unsent.push(batch)
      flush()
    }
  }
}
