/**
 * How many replicas there are, how many have to hold a write, and how long to wait for them.
 *
 * A policy is a plain value. `make` clamps `w` into `[1, n]` and remembers what was asked, so that a
 * clamp is never silent (law L6); the schema is strict and clamps nothing, so that a policy from configuration or the
 * wire passes the same checks as one made in code (law L4).
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { InvalidPolicy } from "./QuorumError.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/**
 * A checked quorum policy: `1 <= w <= n`, whole numbers, and finite positive durations.
 *
 * Make it with `make`, `majority`, `all` or `one`, or decode it; a value written by hand has not been checked.
 */
export interface QuorumPolicy {
  /** Size of the replica set: the local replica and its peers. */
  readonly n: number
  /** How many replicas have to hold a write durably, the local commit included. */
  readonly w: number
  /** How long peers may take to ack, from the start of the write. */
  readonly ackTimeout: Duration.Duration
  /** The `w` that was asked for. Differs from `w` only when it was clamped. */
  readonly requestedW: number
  /** Which of two writes of a key is the later. */
  readonly order: Order
  /** What becomes of a write when too few replicas are there for it. */
  readonly unavailable: Unavailable
}

/**
 * Which of two writes of a key is the later.
 *
 * - `real-time`: the one that was committed after the other was acknowledged, whatever the clocks of the replicas say. A
 *   majority is asked for its clocks before a write is stamped, in one short round trip that all writes share that wait
 *   for it. Only with `w` of a majority or more; a write with less is ordered by clocks.
 * - `clock`: the one with the later clock. Nobody is asked; where clocks differ, a write may be hidden by one that was
 *   acknowledged before it.
 */
export const Order = Schema.Literals(["clock", "real-time"])

/** Which of two writes of a key is the later. */
export type Order = typeof Order.Type

/**
 * What becomes of a write while too few replicas are there for its quorum.
 *
 * - `refuse`: it is refused as `QuorumUnavailable` before anything is written
 * - `accept`: it is written here, by the clocks and without asking anybody, and spreads as soon as it can. It is not
 *   committed: `QuorumNotMet` says so at the deadline, with the id by which it may be waited for again. A write that was
 *   acknowledged before, and that this replica does not hold, may turn out to be the later
 */
export const Unavailable = Schema.Literals(["refuse", "accept"])

/** What becomes of a write while too few replicas are there for its quorum. */
export type Unavailable = typeof Unavailable.Type

/**
 * A policy in JSON, for configuration and the wire: durations are milliseconds, and may have fractions. Every key is
 * required, so that a misspelt one is an error and not a default. What `w` was before a clamp is not carried.
 */
export interface Encoded {
  readonly n: number
  readonly w: number
  readonly ackTimeoutMillis: number
  readonly order: Order
  readonly unavailable: Unavailable
}

const isSpan = (duration: Duration.Duration): boolean => Duration.isFinite(duration) && Duration.isPositive(duration)

const AtLeastOne = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
const Millis = Schema.Finite.check(Schema.isGreaterThan(0))
const Span = Schema.Duration.check(Schema.makeFilter(isSpan, { expected: "a finite duration greater than zero" }))

const wWithinN = Schema.makeFilter((policy: { readonly n: number; readonly w: number }) =>
  policy.w <= policy.n ? undefined : { path: ["w"], issue: `Expected w <= n (w is ${policy.w}, n is ${policy.n})` }
)

/**
 * Schema of a policy. Strict in both directions: whatever is out of range is an error whose path names the field, and
 * nothing is clamped. A decoded policy is never a clamped one.
 */
export const QuorumPolicy: Schema.Codec<QuorumPolicy, Encoded> = Schema.Struct({
  n: AtLeastOne,
  w: AtLeastOne,
  ackTimeoutMillis: Millis,
  order: Order,
  unavailable: Unavailable
})
  .check(wWithinN)
  .pipe(
    Schema.decodeTo(
      Schema.Struct({
        n: AtLeastOne,
        w: AtLeastOne,
        ackTimeout: Span,
        requestedW: Schema.Int,
        order: Order,
        unavailable: Unavailable
      }).check(wWithinN),
      SchemaTransformation.transform<QuorumPolicy, Encoded>({
        decode: ({ ackTimeoutMillis, n, order, unavailable, w }) => ({
          n,
          w,
          ackTimeout: Duration.millis(ackTimeoutMillis),
          requestedW: w,
          order,
          unavailable
        }),
        encode: ({ ackTimeout, n, order, unavailable, w }) => ({
          n,
          w,
          ackTimeoutMillis: Duration.toMillis(ackTimeout),
          order,
          unavailable
        })
      })
    )
  )

const decodeMade = Schema.decodeUnknownResult(Schema.toType(QuorumPolicy))

/** What is wrong with a policy that was written by hand, naming the field; `undefined` where it could have been made. */
export const faultOf = (policy: unknown): string | undefined => {
  const made = decodeMade(policy)
  return Result.isSuccess(made) ? undefined : made.failure.message.replaceAll(/\s*\n\s*/g, " ")
}

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/**
 * Makes a policy of `n` replicas of which `w` have to hold a write. `ackTimeout` defaults to 2 seconds;
 * a number is milliseconds. `order` is `real-time` unless given, `unavailable` is `refuse`.
 *
 * A whole `w` outside `[1, n]` is clamped and remembered as `requestedW`; who uses the policy has to tell somebody
 * when `isClamped`. Fails with `InvalidPolicy`, its detail naming the field, when `n` is not a whole number >= 1, when
 * `w` is not a whole number, or when the timeout is unreadable, not finite, or not greater than zero.
 */
export const make = (options: {
  readonly n: number
  readonly w: number
  readonly ackTimeout?: Duration.Input | undefined
  readonly order?: Order | undefined
  readonly unavailable?: Unavailable | undefined
}): Result.Result<QuorumPolicy, InvalidPolicy> => {
  const { n, order = "real-time", unavailable = "refuse", w } = options
  if (!Number.isSafeInteger(n) || n < 1) {
    return invalid(`n must be >= 1 and a whole number, got ${shown(n)}`)
  }
  if (!Number.isSafeInteger(w)) {
    return invalid(`w must be a whole number, got ${shown(w)}`)
  }
  const ackTimeout = Duration.fromInput(options.ackTimeout ?? defaultAckTimeout)
  if (Option.isNone(ackTimeout) || !isSpan(ackTimeout.value)) {
    return invalid(`ackTimeout must be a finite duration greater than zero, got ${shown(options.ackTimeout)}`)
  }
  if (order !== "real-time" && order !== "clock") {
    return invalid(`order must be "real-time" or "clock", got ${String(order)}`)
  }
  if (unavailable !== "refuse" && unavailable !== "accept") {
    return invalid(`unavailable must be "refuse" or "accept", got ${String(unavailable)}`)
  }
  return Result.succeed({
    n,
    w: Math.min(Math.max(w, 1), n),
    ackTimeout: ackTimeout.value,
    requestedW: w,
    order,
    unavailable
  })
}

/**
 * More than half of `n`: `w = floor(n / 2) + 1`, so that any two quorums overlap, for even `n` too. (With
 * `ceil(n / 2)` two halves of 2 or 4 would both commit: law L1.) Fails as `make` does.
 */
export const majority = (n: number): Result.Result<QuorumPolicy, InvalidPolicy> => make({ n, w: Math.floor(n / 2) + 1 })

/**
 * Every replica has to hold a write: `w = n`. One replica down, and writes fail. Fails as `make` does.
 */
export const all = (n: number): Result.Result<QuorumPolicy, InvalidPolicy> => make({ n, w: n })

/**
 * The local commit is enough: `w = 1`. Peers still receive the write, and nobody waits for them. Fails as `make` does.
 */
export const one = (n: number): Result.Result<QuorumPolicy, InvalidPolicy> => make({ n, w: 1 })

/**
 * How many replicas have to hold one write, where it is not what the policy says: a number, more than half, every
 * replica, or all but so many.
 */
export type W = number | "majority" | "all" | { readonly allBut: number }

/**
 * The policy with another `w`. Strict: fails with `InvalidPolicy`, its detail naming `w`, or what it is
 * called where it was given, for anything that is not a whole number from 1 to n.
 */
export const withW = (policy: QuorumPolicy, w: W, name = "w"): Result.Result<QuorumPolicy, InvalidPolicy> => {
  const { n } = policy
  const asked = w === "majority" ? Math.floor(n / 2) + 1 : w === "all" ? n : typeof w === "number" ? w : n - allBut(w)
  return Number.isSafeInteger(asked) && asked >= 1 && asked <= n
    ? Result.succeed({ ...policy, w: asked, requestedW: asked })
    : invalid(
        `${name} has to be a whole number from 1 to ${n}, "majority", "all" or { allBut }, and is ${typeof w === "object" ? `{ allBut: ${shown(allBut(w))} }` : shown(w)}`
      )
}

/**
 * A policy that asks for no less than either of two: the greater `w`, the longer timeout, and a refusal where either
 * refuses.
 */
export const strictest = (a: QuorumPolicy, b: QuorumPolicy): QuorumPolicy => {
  if (a === b) return a
  const greater = a.w >= b.w ? a : b
  const order = a.order === "real-time" ? a.order : b.order
  const unavailable = a.unavailable === "refuse" ? a.unavailable : b.unavailable
  return { ...greater, order, unavailable, ackTimeout: Duration.max(a.ackTimeout, b.ackTimeout) }
}

// -----------------------------------------------------------------------------
// guards
// -----------------------------------------------------------------------------

/**
 * Whether `w` is not what was asked for. Building a writer with such a policy logs a warning.
 */
export const isClamped = (policy: QuorumPolicy): boolean => policy.w !== policy.requestedW

/** The policy with the order that it really has: with `w` of less than a majority that is the order of clocks. */
export const effective = (policy: QuorumPolicy): QuorumPolicy => (isRealTime(policy) ? policy : byClocks(policy))

/** The policy by which a write is taken while too few replicas are there: the same, by the clocks. None where it is refused. */
export const accepting = (policy: QuorumPolicy): QuorumPolicy | undefined =>
  policy.unavailable === "accept" ? byClocks(policy) : undefined

/** The policy of a write that was stamped without asking anybody. */
export const byClocks = (policy: QuorumPolicy): QuorumPolicy =>
  policy.order === "clock" ? policy : { ...policy, order: "clock" }

/** Whether a write by this policy is stamped after a majority was asked for its clocks. */
export const isRealTime = ({ n, order, w }: QuorumPolicy): boolean => order === "real-time" && w > n / 2

// -----------------------------------------------------------------------------
// internals
// -----------------------------------------------------------------------------

/** What was given instead, as text; not every object has one. */
const shown = (value: unknown): string =>
  typeof value === "object" && value !== null ? "an object" : typeof value === "function" ? "a function" : String(value)

/** From whatever a caller passes: what has no such number asks for no number of replicas. */
const allBut = (w: unknown): number =>
  typeof w === "object" && w !== null && "allBut" in w && typeof w.allBut === "number" ? w.allBut : Number.NaN

const defaultAckTimeout = Duration.seconds(2)

const invalid = (detail: string): Result.Result<never, InvalidPolicy> => Result.fail(new InvalidPolicy({ detail }))
