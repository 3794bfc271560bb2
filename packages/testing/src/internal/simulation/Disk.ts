/**
 * The disk of a replica: what it holds durably, what was written and not synced yet, and what is damaged. What the store
 * on it has said to be durable stays; of the rest a crash keeps what the seed says.
 */
import { LogId, type ReplicaId, WriteId } from "@quorum/core"
import { Batches, Chain, EntryBatch, ReplicaStore, Watermark } from "@quorum/core/adapter"
import type { Dice } from "./Dice.ts"
import * as Held from "./Held.ts"
import type { MachineClock } from "./MachineClock.ts"
import type { Timeline } from "./Timeline.ts"

/** What a disk holds durably. */
export interface Content {
  incarnation: LogId.Incarnation
  readonly logs: Map<LogId.LogId, Array<EntryBatch.EntryBatch>>
  readonly notes: Map<string, string>
  /** All that was ever noted of members that are away too long. */
  readonly everMarked: Set<string>
  /** Where it was opened last, and under which boot of the machine. */
  place: number
  boot: number
  /** The entries of which bits are flipped: they do not fit the chain any more. */
  readonly flipped: Map<LogId.LogId, Set<number>>
  /** What any disk of the run has erased. */
  readonly erased: Held.Erased
}

/** What goes wrong with the next append of a disk. */
export type AppendFault = "append_error" | "uncertain_held" | "uncertain_lost"

/** A disk. */
export interface Disk {
  content: Content
  /** The place of its files: copied and restored ones have another. */
  place: number
  /** Milliseconds that each write takes longer than usual. */
  slowMillis: number
  isFull: boolean
  /** The folder was removed under the store: nothing that is written now is where a restart would find it. */
  isRemoved: boolean
  /** It was put back as it was a while ago, in its place, when it had this incarnation: nothing on it shows that. */
  putBack: LogId.Incarnation | undefined
  /** When the store on it was opened last; beyond all times before that. */
  openedAt: number
  /** An append was uncertain: the store on it refuses everything until it is opened again. */
  isRefusing: boolean
  /** What goes wrong with the next appends, in order. */
  readonly faults: Array<AppendFault>
  /** What is being written: a crash may come before it or after it. */
  readonly underWay: Array<Write>
  /** What was written and not synced, in order: it outlives the process, and not the machine. */
  written: Array<EntryBatch.EntryBatch>
  /** The damage that the store on it has found since it was opened, and when. */
  found: ReadonlyArray<ReplicaStore.DamagedRange & { readonly at: number }>
}

/** What is being written to a disk. */
export interface Write {
  readonly isAppend: boolean
  readonly apply: () => void
}

/** What a disk is part of. */
export interface Situation {
  readonly cluster: string
  readonly replica: ReplicaId.ReplicaId
  readonly timeline: Timeline
  readonly dice: Dice
  readonly clock: MachineClock
  /** Whether the store tells writing and syncing apart. */
  readonly hasSteps: boolean
  /** What any disk of the run has erased. */
  readonly erased: Held.Erased
  /** Called when a fault has happened. */
  readonly onFault: (fault: string) => void
  /** Called when a batch has become durable, or was put in the place of what was. */
  readonly onHeld: (batch: EntryBatch.EntryBatch) => void
  /** Called when something was noted. */
  readonly onNoted: (notes: Readonly<Record<string, string>>) => void
  /** Called before entries that are held are erased. */
  readonly onErased: (going: ReadonlyArray<Held.Held>) => void
  /** Called before a log is cut, or a side of it given up. */
  readonly onCut: () => void
}

/** The note in which a store in doubt says what it is in doubt about. */
export const blank = ReplicaStore.recoveringNote

/** A disk on which nothing was written yet. `founded` says that its replica needs not ask whether it is a first start. */
export const make = ({ clock, dice, erased }: Situation, place: number, boot: number, founded: boolean): Disk =>
  holding(
    {
      incarnation: LogId.incarnationAt(clock.wallMillis(), dice.below(0x1_0000)),
      logs: new Map(),
      notes: new Map(founded ? [] : [[blank, "blank"]]),
      everMarked: new Set(),
      place,
      boot,
      flipped: new Map(),
      erased
    },
    place
  )

/** A disk in order that holds this, in this place. */
export const holding = (content: Content, place: number): Disk => ({
  content,
  place,
  slowMillis: 0,
  isFull: false,
  isRemoved: false,
  putBack: undefined,
  openedAt: Number.POSITIVE_INFINITY,
  isRefusing: false,
  faults: [],
  underWay: [],
  written: [],
  found: []
})

/** A copy of what a disk holds durably. */
export const copyOf = (content: Content): Content => ({
  ...content,
  logs: new Map(Array.from(content.logs, ([log, batches]) => [log, batches.slice()])),
  notes: new Map(content.notes),
  flipped: new Map(Array.from(content.flipped, ([log, seqs]) => [log, new Set(seqs)]))
})

/** Adds a batch to what is held durably, right after what is held of its log. */
export const hold = ({ logs }: Content, batch: EntryBatch.EntryBatch): void => {
  const batches = logs.get(batch.log)
  if (batches === undefined) logs.set(batch.log, [batch])
  else batches.push(batch)
}

/** A process has crashed: of what was under way some has reached the disk. Tells what happened to the appends. */
export const crash = (disk: Disk, { dice, onFault }: Situation): void => {
  for (const { apply, isAppend } of disk.underWay.splice(0)) {
    const isKept = dice.chance(0.5)
    if (isKept) apply()
    if (isAppend) onFault(isKept ? "write_kept" : "write_lost")
  }
}

/** The machine has lost its power: of what was not synced each log keeps a part, or nothing. Tells what happened to it. */
export const powerCut = (disk: Disk, situation: Situation): void => {
  crash(disk, situation)
  losePart(disk, situation)
}

/** Of what was not synced each log keeps an arbitrary part from its beginning, whole entries, which is durable then. */
export const losePart = (disk: Disk, { dice, onFault, onHeld }: Situation): void => {
  const rest = new Map<LogId.LogId, number>()
  for (const { count, log } of disk.written) rest.set(log, (rest.get(log) ?? 0) + count)
  for (const [log, count] of rest) {
    const kept = dice.pick([0, count, dice.below(count + 1)])
    rest.set(log, kept)
    onFault(kept === count ? "unsynced_kept" : kept === 0 ? "unsynced_lost" : "unsynced_torn")
  }
  for (const batch of disk.written.splice(0)) {
    const left = rest.get(batch.log)!
    const part = firstOf(batch, left)
    if (part !== undefined) {
      hold(disk.content, part)
      onHeld(part)
    }
    rest.set(batch.log, left - (part?.count ?? 0))
  }
}

/** What was written is made durable, or such of it: as a start does before it says what it found. */
export const settle = (
  disk: Disk,
  { onHeld }: Pick<Situation, "onHeld">,
  covered: ReadonlyArray<EntryBatch.EntryBatch> = disk.written
): void => {
  const durable = new Set(covered)
  for (const batch of disk.written.splice(0)) {
    if (!durable.has(batch)) {
      disk.written.push(batch)
      continue
    }
    hold(disk.content, batch)
    onHeld(batch)
  }
}

/** Puts a batch in the place of what is held durably there, or after its end. */
export const put = ({ erased, logs }: Content, batch: EntryBatch.EntryBatch): void => {
  if (EntryBatch.erasedAt(batch) !== undefined) {
    for (const before of logs.get(batch.log) ?? []) {
      if (before.from > EntryBatch.last(batch) || EntryBatch.last(before) < batch.from) continue
      for (const held of Held.ofBatch(before, erased)) erased.set(Held.placeOf(held.log, held.seq), held)
    }
  }
  logs.set(batch.log, [...Batches.put(logs.get(batch.log) ?? [], batch)])
}

/** The entries that are held and go when a batch is put in their place. */
export const goingBy = ({ logs }: Content, batch: EntryBatch.EntryBatch): ReadonlyArray<Held.Held> => {
  if (EntryBatch.erasedAt(batch) === undefined) return []
  const last = EntryBatch.last(batch)
  const staying = new Set(Held.ofBatch(batch, noneErased).map(({ seq }) => seq))
  return (logs.get(batch.log) ?? [])
    .filter((before) => before.from <= last && EntryBatch.last(before) >= batch.from)
    .flatMap((before) => Held.ofBatch(before, noneErased))
    .filter(({ seq }) => batch.from <= seq && seq <= last && !staying.has(seq))
}

/** Flips bits of an entry that is held. Returns its place; `undefined` when nothing is held. */
export const flip = ({ content }: Disk, { dice, onFault }: Situation): string | undefined => {
  const logs = Array.from(content.logs.keys())
  if (logs.length === 0) return undefined
  const log = dice.pick(logs)
  const seq = 1 + dice.below(headOf(content, log).seq)
  // Erased entries are one range, which is damaged as a whole.
  const batches = content.logs.get(log)!
  const { count, from } = EntryBatch.take(EntryBatch.after(batches[Batches.indexOf(batches, seq)]!, seq - 1), 1)
  const flipped = new Set(content.flipped.get(log))
  for (let i = 0; i < count; i++) flipped.add(from + i)
  content.flipped.set(log, flipped)
  onFault("bit_flipped")
  return `${log}:${seq}`
}

/** Takes the damaged entries at the end of a log away, or all after one. Returns where it ends then. */
export const cut = (content: Content, log: LogId.LogId, after?: number): Watermark.Watermark => {
  let seq = after ?? headOf(content, log).seq
  while (after === undefined && isFlipped(content, log, seq)) seq--
  const batches = Batches.upTo(content.logs.get(log) ?? [], seq)
  if (batches.length === 0) content.logs.delete(log)
  else content.logs.set(log, [...batches])
  return headOf(content, log)
}

/** Whether the bits of an entry are flipped. */
export const isFlipped = ({ flipped }: Content, log: LogId.LogId, seq: number): boolean =>
  flipped.size > 0 && flipped.get(log)?.has(seq) === true

/** Whether a disk was put back as it had been, and its replica goes on as if it had not. */
export const goesOnAsBefore = ({ content: { incarnation }, putBack }: Disk): boolean =>
  putBack !== undefined && (incarnation === putBack || LogId.goesOn(putBack, incarnation))

/** Whether a disk is older than what it held, and its replica cannot have learned that yet: it was opened a moment ago. */
export const isUnaware = (disk: Disk, now: number): boolean => now < disk.openedAt + 3000 && goesOnAsBefore(disk)

/** The bytes of what is held durably. */
export const bytesOf = ({ logs }: Content): number => {
  let sum = 0
  for (const batches of logs.values()) for (const { bytes } of batches) sum += bytes.length
  return sum
}

/** Whether anything on a disk is damaged. */
export const isDamaged = ({ content }: Disk): boolean => content.flipped.size > 0

/** How far a log is held durably. */
export const headOf = (content: Content, log: LogId.LogId): Watermark.Watermark => {
  const batches = content.logs.get(log)
  return batches === undefined ? Watermark.none(log) : EntryBatch.watermark(batches[batches.length - 1]!)
}

/** How far a log goes with what is written and not synced. */
export const endOf = ({ content, written }: Disk, log: LogId.LogId): Watermark.Watermark => {
  for (let i = written.length - 1; i >= 0; i--) if (written[i]!.log === log) return EntryBatch.watermark(written[i]!)
  return headOf(content, log)
}

/** The chain after an entry that is held durably; `undefined` beyond. */
export const chainAt = (content: Content, log: LogId.LogId, seq: number): Chain.Chain | undefined => {
  if (seq === 0) return Chain.empty
  const batches = content.logs.get(log)
  if (batches === undefined || seq > headOf(content, log).seq) return undefined
  return EntryBatch.chainAt(batches[Batches.indexOf(batches, seq)]!, seq)
}

/** Whether an entry is held durably, or was until it was erased; with the write of this check. */
export const holds = (content: Content, log: LogId.LogId, seq: number, check: number): boolean => {
  const chain = chainAt(content, log, seq)
  if (chain !== undefined) return Chain.check(chain) === check
  const gone = seq <= headOf(content, log).seq ? content.erased.get(Held.placeOf(log, seq)) : undefined
  return gone !== undefined && WriteId.place(gone.id).check === check
}

/** The batches of a log, with what is written and not synced. */
export const batchesOf = ({ content, written }: Disk, log: LogId.LogId): ReadonlyArray<EntryBatch.EntryBatch> => {
  const held = content.logs.get(log) ?? []
  const more = written.filter((batch) => batch.log === log)
  return more.length === 0 ? held : [...held, ...more]
}

// ---------------------------------------------------------------------------------------------------------------------

const noneErased: Held.Erased = new Map()

/** The first entries of a batch, and those erased together with the last of them; `undefined` for none. */
const firstOf = (batch: EntryBatch.EntryBatch, count: number): EntryBatch.EntryBatch | undefined => {
  if (count >= batch.count) return batch
  return count <= 0 ? undefined : EntryBatch.upTo(batch, batch.from + count - 1)
}
