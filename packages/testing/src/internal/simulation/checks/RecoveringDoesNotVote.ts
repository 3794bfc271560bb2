/**
 * RecoveringDoesNotVote: who may lack what it acknowledged counts for nothing and answers nothing that counts.
 *
 * Who votes is known by what it says, and what it may lack by what receipts counted its former disks for: it holds all
 * of that. And a receipt counts only who has said, while it voted, that it holds the write.
 */
import { LogId, type Receipt, type ReplicaId, WriteId } from "@quorum/core"
import type { DamagedRange, PeerProtocol } from "@quorum/core/adapter"
import * as Disk from "../Disk.ts"
import * as Heard from "../Heard.ts"
import { isRecovering, type Machine } from "../Machines.ts"
import type { Passing } from "../Network.ts"
import type { Owner } from "../Timeline.ts"
import { isNewest, machineOf, machinesOf, type World } from "../World.ts"
import * as DamageIsLocal from "./DamageIsLocal.ts"
import { holds } from "./NoPhantomAck.ts"

/** What is known of one replica. */
interface Known {
  /** The writes that it was counted for, on a majority, and who has counted it for them because it had acked them. */
  readonly counted: Map<WriteId.WriteId, ReadonlySet<Counting>>
  /** How far it has said, as one that votes, that it holds each log. */
  readonly said: Map<LogId.LogId, number>
  /** The disk that was found to hold all that it was counted for: that stays so. */
  sure: Disk.Content | undefined
}

/** A process that has counted a replica, and in which life of that. */
interface Counting {
  readonly by: Owner
  readonly incarnation: LogId.Incarnation
}

/** Looks at a message. */
export const onPassing = (world: World, message: Passing): void => {
  const { by, from, to } = message
  const now = world.timeline.now()
  const heard = Heard.onPassing(message, now)
  const machine = machineOf(world, by)
  if (machine === undefined) return
  const damaged = knownDamage(world, machine)
  const words = wordsOf(by)
  const word = wordIn(message)
  if (word !== undefined) words.set(to, word)
  // Who does not vote pushes its own log all the same.
  const said = votesIn(message, isRecovering(machine) || damaged.length > 0 || words.get(to) === false)
  if (said === undefined) return
  if (isRecovering(machine)) world.violated("RecoveringDoesNotVote", `${from} ${said.how}, and is recovering`)
  const known = knownOf(world, from)
  const lacked = Array.from(damaged.length > 0 ? known.counted.keys() : []).find((writeId) => covers(damaged, writeId))
  if (lacked !== undefined)
    world.violated("RecoveringDoesNotVote", `${from} ${said.how}, was counted for ${lacked}, and found it damaged`)
  for (const { log, seq } of said.holds) known.said.set(log, Math.max(known.said.get(log) ?? 0, seq))
  const { content } = machine.disk
  if (known.sure === content || !isNewest(world, machine)) return
  const missing = Array.from(known.counted.keys()).filter((writeId) => !holds(content, writeId))
  // Who was put back says what it believes, until those tell it who have counted it. What it pushes is its own.
  const goesOnAsBefore = Disk.goesOnAsBefore(machine.disk)
  const isUnaware = Disk.isUnaware(machine.disk, now) || (goesOnAsBefore && !Heard.hasHeardAny(by, now))
  const isTold = ({ by: who, incarnation }: Counting): boolean =>
    (incarnation === content.incarnation || LogId.goesOn(incarnation, content.incarnation)) &&
    (who === heard || Heard.hasHeard(by, who, now))
  const isAsked = (writeId: WriteId.WriteId): boolean => {
    const counting = Array.from(known.counted.get(writeId)!).filter(({ by: who }) => who.isAlive)
    if (!goesOnAsBefore || counting.length === 0) return !isUnaware
    return said.how !== "pushes" && counting.some(isTold)
  }
  const lacks = missing.find(isAsked)
  if (lacks !== undefined)
    world.violated("RecoveringDoesNotVote", `${from} ${said.how}, was counted for ${lacks}, and lacks it`)
  else if (missing.length === 0 && !isUnaware) known.sure = content
}

/** Looks at a receipt when it is made. */
export const onReceipt = (world: World, { acked, policy, writeId }: Receipt.Receipt, by: Owner | undefined): void => {
  const { log, seq } = WriteId.place(writeId)
  for (const { how, replica } of acked) {
    const known = knownOf(world, replica)
    if (how === "self" && machinesOf(world, replica).every(isRecovering)) {
      world.violated("RecoveringDoesNotVote", `a receipt of ${replica} for ${writeId} counts itself, and it recovers`)
    }
    if (how !== "self" && (known.said.get(log) ?? 0) < seq) {
      world.violated("RecoveringDoesNotVote", `a receipt counts ${replica} for ${writeId}, which said so not voting`)
    }
    if (2 * policy.w <= policy.n) continue
    const newest = machinesOf(world, replica).find((machine) => isNewest(world, machine))
    const counting =
      how === "self" || by === undefined || newest === undefined
        ? []
        : [{ by, incarnation: newest.disk.content.incarnation }]
    known.counted.set(writeId, new Set([...(known.counted.get(writeId) ?? []), ...counting]))
    if (newest === undefined || isRecovering(newest) || holds(newest.disk.content, writeId)) continue
    // A disk that was lost meanwhile: the one after it is in order, and will be asked for this too.
    if (known.sure === newest.disk.content) {
      world.violated("RecoveringDoesNotVote", `a receipt counts a former disk of ${replica} for ${writeId}`)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Whether a process votes, as it said last to each of the others. */
const spoken = new WeakMap<Owner, Map<ReplicaId.ReplicaId, boolean>>()

const wordsOf = (by: Owner): Map<ReplicaId.ReplicaId, boolean> => {
  const words = spoken.get(by) ?? new Map<ReplicaId.ReplicaId, boolean>()
  spoken.set(by, words)
  return words
}

/** What a message says of whether its sender votes, if anything. */
const wordIn = ({ answer, name, request }: Passing): boolean | undefined => {
  if (name === "hello") return ((answer ?? request) as PeerProtocol.Hello).voting
  return name === "push" && answer !== undefined ? (answer as PeerProtocol.Ack).voting : undefined
}

const knowns = new WeakMap<World, Map<ReplicaId.ReplicaId, Known>>()

const knownOf = (world: World, id: ReplicaId.ReplicaId): Known => {
  const all = knowns.get(world) ?? new Map<ReplicaId.ReplicaId, Known>()
  knowns.set(world, all)
  const known = all.get(id) ?? { counted: new Map(), said: new Map(), sure: undefined }
  all.set(id, known)
  return known
}

/** The damage of which a store knows long enough that it is not said any more to be held. */
const knownDamage = ({ timeline }: World, { disk }: Machine): ReadonlyArray<DamagedRange.DamagedRange> =>
  disk.content.flipped.size === 0 ? [] : disk.found.filter(({ at }) => at < timeline.now() - DamageIsLocal.grace)

const covers = (ranges: ReadonlyArray<DamagedRange.DamagedRange>, writeId: WriteId.WriteId): boolean => {
  const { log, seq } = WriteId.place(writeId)
  return ranges.some((range) => range.log === log && range.from <= seq && seq <= range.to)
}

/** What a message says as one that votes; `undefined` when it says nothing that counts. */
const votesIn = ({ answer, name, request }: Passing, lacks: boolean) => {
  if (name === "hello") {
    const { vector, voting } = (answer ?? request) as PeerProtocol.Hello
    return voting ? { how: "greets as one that votes", holds: vector } : undefined
  }
  if (name === "push" && answer !== undefined) {
    const ack = answer as PeerProtocol.Ack
    return ack.voting ? { how: "acks as one that votes", holds: [ack] } : undefined
  }
  if (name === "push") {
    const { batch } = request as PeerProtocol.Push
    const end = { log: batch.log, seq: batch.from + batch.count - 1 }
    return lacks ? undefined : { how: "pushes", holds: [end] }
  }
  return answer === undefined || name === "pull" ? undefined : { how: `answers a ${name}`, holds: [] }
}
