/**
 * Which failures a policy survives: a function of the sizes of the replica set and of its quorums, and of where its
 * replicas are. Pure.
 *
 * Replicas are alike, so what a failure does depends on how many it takes. With `down` of `n` replicas away, writes need
 * `w` that are left, quorum reads `r`, linearizable reads a majority. What was acknowledged is on `w` replicas, whichever
 * they are, so it is still somewhere while fewer than `w` are gone for good. Disks that come back empty vote again by
 * themselves while `n - majority + 1` others do; these meet every majority that had acknowledged something.
 */
import { Result, Schema } from "effect"

/** What is asked: a replica set, its quorums, and where the replicas are. */
export interface Question {
  /** How many replicas there are. */
  readonly n: number
  /** How many have to hold a write. */
  readonly w: number
  /** How many a quorum read asks; a majority unless given. */
  readonly r?: number | undefined
  /** The zone of each replica, by replica id; those that fail together. None unless given. */
  readonly zones?: Readonly<Record<string, string>> | undefined
}

/** A failure, and what goes on. */
export interface Row {
  readonly failure: string
  /** How many replicas it takes. */
  readonly down: number
  readonly writes: boolean
  /** Reads of one replica, where it is one of those that are left. */
  readonly localReads: boolean
  readonly quorumReads: boolean
  readonly linearizableReads: boolean
  /** Writes and linearizable reads. */
  readonly both: boolean
  /** Whether everything that was acknowledged is still there, if these disks never come back. */
  readonly kept: boolean
  /** Whether replicas with empty disks in their places vote again by themselves. */
  readonly replaced: boolean
}

/** What a policy survives. */
export interface Explanation {
  readonly n: number
  readonly w: number
  readonly r: number
  readonly majority: number
  readonly rows: ReadonlyArray<Row>
  /** What is worth knowing beside the table. */
  readonly notes: ReadonlyArray<string>
}

/** The question makes no sense. `field` is what is wrong in it. */
export class InvalidQuestion extends Schema.TaggedError<InvalidQuestion>()("InvalidQuestion", {
  field: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.field}: ${this.detail}`
  }
}

/** Explains a policy. Fails with the field that is wrong. */
export const explain = ({ n, r, w, zones = {} }: Question): Result.Result<Explanation, InvalidQuestion> => {
  const fail = (field: string, detail: string) => Result.fail(new InvalidQuestion({ field, detail }))
  const within = (value: number): boolean => Number.isSafeInteger(value) && value >= 1 && value <= n
  if (!Number.isSafeInteger(n) || n < 1 || n > maxReplicas)
    return fail("replicas", `expected 1 to ${maxReplicas}, got ${n}`)
  if (!within(w)) return fail("policy", `expected 1 to ${n} replicas of ${n} that hold a write, got ${w}`)
  const majority = Math.floor(n / 2) + 1
  const asked = r ?? majority
  if (!within(asked)) return fail("r", `expected 1 to ${n} replicas of ${n} that a read asks, got ${asked}`)
  const placed = Object.keys(zones).length
  if (placed > 0 && placed !== n) return fail("zones", `${placed} replicas have a zone, and there are ${n}`)
  const row = (failure: string, down: number): Row => {
    const left = n - down
    const writes = left >= w
    const linearizableReads = left >= majority
    return {
      failure,
      down,
      writes,
      localReads: left >= 1,
      quorumReads: left >= asked,
      linearizableReads,
      both: writes && linearizableReads,
      kept: down < w,
      replaced: left >= n - majority + 1
    }
  }
  const any = Array.from({ length: n }, (_, i) => row(i === 0 ? "any 1 replica" : `any ${i + 1} replicas`, i + 1))
  return Result.succeed({
    n,
    w,
    r: asked,
    majority,
    rows: [row("none", 0), ...any, ...failuresOf(zones).map(([failure, down]) => row(failure, down))],
    notes: notesOf(n, w, asked, majority)
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** More replicas than anybody runs; a table of more is of no use. */
const maxReplicas = 25

/** The failures of zones: each, and each with one replica of another. */
const failuresOf = (
  zones: Readonly<Record<string, string>>
): ReadonlyArray<readonly [failure: string, down: number]> => {
  const sizes = new Map<string, number>()
  for (const zone of Object.values(zones)) sizes.set(zone, (sizes.get(zone) ?? 0) + 1)
  const n = Object.keys(zones).length
  return Array.from(sizes).flatMap(([zone, size]) => [
    [`zone ${zone} (${size})`, size] as const,
    ...(size < n ? [[`zone ${zone} and any 1 replica`, size + 1] as const] : [])
  ])
}

const notesOf = (n: number, w: number, r: number, majority: number): ReadonlyArray<string> => [
  ...(w < majority
    ? [
        `w is ${w}, less than a majority (${majority}): two writes of a key are ordered by clocks, and a read of a majority ` +
          "may miss an acknowledged one."
      ]
    : [`w is a majority or more: of two writes of a key the one that began later wins, whatever the clocks say.`]),
  r + w > n
    ? `r + w > n (${r} + ${w} > ${n}): a quorum read sees every acknowledged write.`
    : `r + w is not above n (${r} + ${w}, ${n}): a quorum read may miss an acknowledged write.`,
  ...(w === n && n > 1 ? ["w is n: with one replica away no write commits."] : []),
  ...(n % 2 === 0
    ? [
        `${n} replicas survive as many failures as ${n - 1}, of ${n === 2 ? "a set of one" : "which each costs less"}: take an odd number.`
      ]
    : [])
]
