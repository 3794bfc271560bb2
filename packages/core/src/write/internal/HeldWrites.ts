/**
 * What is asked about a write by its id, on any replica that holds it or may get it.
 */
import { Effect, Option, Schema } from "effect"
import * as LogId from "../../identity/LogId.ts"
import { ReplicaSet } from "../../identity/ReplicaSet.ts"
import * as WriteId from "../../identity/WriteId.ts"
import * as Arrival from "../../log/Arrival.ts"
import * as Chain from "../../log/Chain.ts"
import * as Entry from "../../log/Entry.ts"
import * as Erased from "../../log/Erased.ts"
import { ReplicaLogs } from "../../log/ReplicaLogs.ts"
import * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as Thrown from "../../log/Thrown.ts"
import { Connections } from "../../peer/Connections.ts"
import * as GivenUp from "../../peer/GivenUp.ts"
import { Membership } from "../../peer/Membership.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"
import * as QuorumPolicy from "../../quorum/QuorumPolicy.ts"
import { Policies } from "../../read/Policies.ts"
import type { WriteOptions } from "../WriteOptions.ts"
import type { Receipt, WriteStatus } from "../Receipt.ts"
import type * as InFlight from "./InFlight.ts"
import type { Waiter } from "./WriteGroup.ts"

/** A write that is held here. */
export interface Place {
  readonly log: LogId.LogId
  readonly seq: number
  /** The check of its id. */
  readonly check: number
  readonly policy: QuorumPolicy.QuorumPolicy
}

/** Answers from the logs, and waits with `inFlight`. `onWait` is called before somebody waits. */
export const make = Effect.fnUntraced(function* (options: {
  readonly inFlight: InFlight.InFlight
  readonly onWait: () => void
  readonly restIfIdle: () => void
}) {
  const { inFlight, onWait, restIfIdle } = options
  const policies = yield* Policies
  const connections = yield* Connections
  const { peers, self } = yield* ReplicaSet
  const logs = yield* ReplicaLogs
  const membership = yield* Membership

  /**
   * The id of what was committed again of the side of a fork that had a place, if it is there. Where the place is erased
   * nobody can tell of which side an id is, and of this one it must not be said that all members held it.
   */
  const copyOf = Effect.fnUntraced(function* (log: LogId.LogId, seq: number) {
    const forks = membership.kept.all().filter(({ because }) => because === "fork")
    for (const place of GivenUp.placesOf(forks, log, seq)) {
      const copy = Option.getOrUndefined(yield* logs.read(place.log, place.seq - 1, 1))
      if (copy === undefined || Erased.is(copy.bytes, 0)) continue
      return WriteId.make(place.log, place.seq, Chain.check(copy.chain))
    }
    return undefined
  })

  /** A write that is held here, with its version and the policy of its namespaces. */
  const held = Effect.fnUntraced(function* (writeId: unknown, asked?: Pick<WriteOptions, "w">) {
    if (!isWriteId(writeId)) return yield* noSuchWrite(writeId)
    const { check, log, seq } = WriteId.place(writeId)
    if (seq > logs.head(log).seq) return yield* noSuchWrite(writeId)
    // The newest own entries are in memory too, and what is damaged on disk is not held all the same.
    const damage = logs.damageAt(log, seq)
    if (damage !== undefined) {
      const detail = `entries ${damage.from} to ${damage.to} of ${log} are damaged here`
      return yield* new ReplicaStore.StoreError({ reason: "corrupt", detail })
    }
    const batch = yield* logs.read(log, seq - 1, 1)
    if (Option.isNone(batch)) return yield* noSuchWrite(writeId)
    const { bytes, chain } = batch.value
    if (Erased.is(bytes, 0)) {
      const copy = yield* copyOf(log, seq)
      return yield* copy === undefined
        ? new QuorumError.WriteCompacted({ writeId })
        : new QuorumError.WriteReplaced({ writeId, held: copy })
    }
    if (Chain.check(chain) !== check) {
      return yield* new QuorumError.WriteReplaced({ writeId, held: WriteId.make(log, seq, Chain.check(chain)) })
    }
    const policy = yield* Effect.fromResult(policies.resolve(Entry.decodeAt(bytes, 0).records, asked))
    const version = Entry.stampAt(bytes, 0)
    return {
      log,
      seq,
      check,
      // What it was stamped by is in the entry, whatever the policy of its namespaces says now.
      policy: version.unprobed ? QuorumPolicy.byClocks(policy) : policy,
      version
    }
  })

  const statusOf = ({ check, log, policy, seq }: Place): WriteStatus => {
    const { n, w } = policy
    const { holders, verdicts } = inFlight.holders(log, seq, policy)
    return { writeId: WriteId.make(log, seq, check), committed: holders.length >= w, holders, w, n, verdicts }
  }

  /** Waits for a write that a member may still bring. What is not in the own log now was never written to it. */
  const arrival = (writeId: unknown) => {
    if (!isWriteId(writeId)) return Effect.void
    const { log, seq } = WriteId.place(writeId)
    const owner = LogId.owner(log)
    const mayCome = log !== logs.own && (owner === self || peers.includes(owner))
    if (!mayCome || seq <= logs.head(log).seq) return Effect.void
    connections.fetchNow()
    return Effect.timeoutOption(Arrival.reached(logs, writeId), policies.usual.ackTimeout)
  }

  return {
    statusOf,
    /** How the status of a write is asked again and again, without a look at the store. */
    follow: (writeId: WriteId.WriteId) => Effect.option(Effect.map(held(writeId), (place) => () => statusOf(place))),
    status: (writeId: WriteId.WriteId) =>
      Effect.map(Effect.catchTag(held(writeId), "InvalidPolicy", Effect.die), statusOf),
    resume: Effect.fnUntraced(function* (writeId: unknown, asked?: Pick<WriteOptions, "w">) {
      const monotonicMillis = inFlight.monotonicMillis()
      yield* arrival(writeId)
      const { check, log, policy, seq, version } = yield* held(writeId, asked)
      return yield* Effect.callback<Receipt, QuorumError.QuorumNotMet>((resume) => {
        const waiter: Waiter = { resume, seq, check, version, monotonicMillis, cancelled: false }
        onWait()
        const leave = inFlight.watch(log, policy, [waiter], inFlight.monotonicMillis(), false)
        restIfIdle()
        return Effect.sync(() => {
          waiter.cancelled = true
          leave()
        })
      })
    })
  }
})

// ---------------------------------------------------------------------------------------------------------------------

const isWriteId = Schema.is(WriteId.WriteId)

/** The id that a receipt has, if it is one: programs without types give what they like. */
export const idIn = (receipt: unknown): unknown => {
  try {
    return typeof receipt === "object" && receipt !== null && "writeId" in receipt ? receipt.writeId : undefined
  } catch {
    return undefined
  }
}

/** Text that is no id is the id of no write, whatever place could be made of it. */
export const noSuchWrite = (writeId: unknown) =>
  new QuorumError.WriteUnknown({ writeId: Thrown.textOf(writeId) as WriteId.WriteId }, { disableChecks: true })
