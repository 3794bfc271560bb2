/**
 * What clients asked and were answered, in the order in which it happened.
 */
import type { ClientSession, Entry, Records, ReplicaId, WriteId } from "@quorum/core"

/** What a client asked, and what came of it. */
export interface Operation {
  readonly id: number
  readonly client: number
  readonly kind: "write" | "read"
  /** The replica that was asked. */
  readonly at: ReplicaId.ReplicaId
  readonly namespace: string
  readonly key: string
  /** What was written, or read; absent for a delete, and when there is nothing. */
  value: string | undefined
  /** How many replicas have to hold it. */
  readonly w: number
  /** What a read promises. */
  readonly consistency: Records.Consistency
  /** How many replicas a `quorum` read asked; a majority unless said. */
  readonly r: number | undefined
  /** Several writes that are one entry have one number. */
  readonly batch: number | undefined
  /** When it was asked and answered: the order of all that clients saw. */
  readonly asked: number
  answered: number | undefined
  readonly askedAt: number
  /** `receipt`, `read`, or the name of the error; absent while it is under way. */
  outcome: string | undefined
  /** The id of the write: of a receipt, of a write that missed its quorum, or that was read. */
  writeId: WriteId.WriteId | undefined
  /** Whom the receipt counts. */
  acked: ReadonlyArray<ReplicaId.ReplicaId>
  /** When the last of them that was counted had acked, in milliseconds since it was waited for. */
  slowestMillis: number
  /** The write whose clock this one was to come after. */
  readonly after: WriteId.WriteId | undefined
  /** How many replicas it was asked to reach later, and did. */
  copies: number
  /** The write that a read had to see. */
  readonly atLeast: WriteId.WriteId | undefined
  /** The session of its client when it was asked, where it carries one. */
  readonly session: Session | undefined
  /** Whether that session had it in it afterwards. */
  isSeen: boolean
  /** The key under which its client repeats it. */
  readonly idempotencyKey: string | undefined
}

/** What a client that carries its session has done and seen. */
export interface Session {
  /** Another one for each that was begun. */
  readonly name: string
  readonly value: ClientSession.ClientSession
}

/** Errors of a commit that say that nothing was written. */
export const nothingWritten: ReadonlySet<string> = new Set([
  "QuorumUnavailable",
  "LocalWriteFailed",
  "WriteRejected",
  "Overloaded",
  "DiskLow",
  "ReplicaClosing",
  "NotReady",
  "InvalidPolicy",
  "TooOldToKnow",
  "IdempotencyUnknown",
  "NotSent"
])

/** What clients saw in a run. */
export interface History {
  readonly operations: ReadonlyArray<Operation>
  readonly ask: (
    operation: Pick<Operation, "client" | "kind" | "at" | "key" | "w"> &
      Partial<
        Pick<Operation, "value" | "atLeast" | "consistency" | "r" | "batch" | "after" | "session" | "idempotencyKey">
      >,
    now: number
  ) => Operation
  readonly answer: (operation: Operation, outcome: string, found?: Partial<Operation>) => void
}

/** Nothing was asked yet. */
export const make = (): History => {
  const operations: Array<Operation> = []
  let order = 0
  return {
    operations,
    ask: (asked, now) => {
      const operation: Operation = {
        value: undefined,
        atLeast: undefined,
        after: undefined,
        copies: 0,
        session: undefined,
        isSeen: false,
        idempotencyKey: undefined,
        consistency: "local",
        r: undefined,
        batch: undefined,
        namespace: namespaceOf(asked.key),
        ...asked,
        id: operations.length,
        asked: order++,
        askedAt: now,
        answered: undefined,
        outcome: undefined,
        writeId: undefined,
        acked: [],
        slowestMillis: 0
      }
      operations.push(operation)
      return operation
    },
    answer: (operation, outcome, found = {}) => {
      Object.assign(operation, found)
      operation.outcome = outcome
      operation.answered = order++
    }
  }
}

/** The writes that were answered with a receipt. */
export const committed = ({ operations }: History): ReadonlyArray<Operation> =>
  operations.filter(({ kind, outcome }) => kind === "write" && outcome === "receipt")

/** The namespace of a key: writes of some keys are asked of one replica alone, by the policy of theirs. */
export const namespaceOf = (key: string): string => (isWeak(key) ? "weak" : "n")

/** The namespace of the marks of keys that clients invent for writes of a namespace. */
export const marksOf = (namespace: string): string => `${namespace}${ofMarks}`
/** The operation of one write beside whose namespace the mark of its key is: the first of them by name. */
export const markedOf = (operations: ReadonlyArray<Operation>): Operation =>
  operations.reduce((first, each) => (each.namespace < first.namespace ? each : first))

/** Whether a namespace is one of marks. */
export const isOfMarks = (namespace: string): boolean => namespace.endsWith(ofMarks)

/** Whether writes of a key wait for nobody unless they say so, and take effect in the order of the clocks. */
export const isWeak = (key: string): boolean => key.startsWith("w")

/** A value as bytes, and back. */
export const bytesOf = (value: string): Uint8Array => encoder.encode(value)
export const textOf = (bytes: Entry.Write["value"]): string => decoder.decode(bytes)

// ---------------------------------------------------------------------------------------------------------------------

const ofMarks = ".idempotency"

const encoder = new TextEncoder()
const decoder = new TextDecoder()
