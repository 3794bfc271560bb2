/**
 * Which batches of the own log still lack the ack of some peer, and since when: from it follows how long it took until
 * everybody held a write. When there are too many, neighbours become one, which is as old as the older.
 */
import type { ReplicaEvents } from "@quorum/core"

type Event<Tag> = Extract<ReplicaEvents.ReplicaEvent, { readonly _tag: Tag }>

/** Entries that were appended together: where they end, how many they are, and when their append began. */
interface Batch {
  readonly seq: number
  readonly entries: number
  readonly beganMillis: number
}

const maxBatches = 4096

/** Starts with nothing that lacks an ack. */
export const make = (first: string, peers: ReadonlyArray<string>, monotonicMillis: () => number) => {
  let own = first
  let held = new Map(peers.map((peer) => [peer, 0]))
  let batches: Array<Batch> = []
  /** How many of the batches, from the first on, are acked by all. */
  let done = 0

  const joined = (): Array<Batch> =>
    batches.slice(done).flatMap((batch, i, all) => {
      const before = all[i - 1]
      if (i % 2 === 1) return [{ ...batch, entries: before!.entries + batch.entries, beganMillis: before!.beganMillis }]
      return i === all.length - 1 ? [batch] : []
    })

  return {
    /** Entries go to another log from now on, of which nobody holds any. */
    renewed: (log: string): void => {
      own = log
      held = new Map(peers.map((peer) => [peer, 0]))
      batches = []
      done = 0
    },
    appended: ({ durationMillis, entries, seq }: Event<"Appended">): void => {
      if (peers.length === 0) return
      batches.push({ seq, entries, beganMillis: monotonicMillis() - durationMillis })
      if (batches.length <= maxBatches) return
      batches = done > maxBatches / 2 ? batches.slice(done) : joined()
      done = 0
    },
    /** Tells of the batches that this ack was the last for: how long it took, and how many entries they are. */
    acked: ({ log, peer, seq }: Event<"Acked">, tell: (millis: number, entries: number) => void): void => {
      const before = held.get(peer)
      if (log !== own || before === undefined || seq <= before) return
      held.set(peer, seq)
      let all = seq
      for (const theirs of held.values()) all = Math.min(all, theirs)
      const now = monotonicMillis()
      for (; done < batches.length && batches[done]!.seq <= all; done++) {
        tell(now - batches[done]!.beganMillis, batches[done]!.entries)
      }
      if (done === batches.length) {
        batches = []
        done = 0
      }
    }
  }
}

/** Which batches still lack an ack. */
export type LastAcks = ReturnType<typeof make>
