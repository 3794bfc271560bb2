/**
 * What a write has to come after, beside what its replica and a majority know: the clock of something that its client has
 * done or seen at another replica.
 */
import { Result, Schema } from "effect"
import * as HybridLogicalClock from "../../log/HybridLogicalClock.ts"
import * as Thrown from "../../log/Thrown.ts"
import * as QuorumError from "../../quorum/QuorumError.ts"

const isClock = Schema.is(HybridLogicalClock.HybridLogicalClock)

const rejected = (detail: string) =>
  Result.fail(new QuorumError.WriteRejected({ field: "after", reason: "invalid", detail }))

const none = Result.succeed(undefined)

/**
 * The clock that is asked for, `undefined` when none is. One beyond `latest` is no clock of a write that could have
 * been seen: followed, it would put the key out of the reach of all others.
 */
export const read = (
  options: unknown,
  latest: () => HybridLogicalClock.HybridLogicalClock
): Result.Result<HybridLogicalClock.HybridLogicalClock | undefined, QuorumError.WriteRejected> => {
  try {
    const after = (options as { readonly after?: unknown } | undefined)?.after
    if (after === undefined) return none
    if (!isClock(after)) return rejected("it is not the clock of a receipt or of a record")
    if (HybridLogicalClock.compare(after, latest()) > 0)
      return rejected("it is further ahead of this replica's clock than clocks may be")
    return Result.succeed({ wallTime: after.wallTime, logical: after.logical })
  } catch (cause) {
    return rejected(`it cannot be read: ${Thrown.textOf(cause)}`)
  }
}

/** The later of two clocks of which either may not be asked for. */
export const later = (
  a: HybridLogicalClock.HybridLogicalClock | undefined,
  b: HybridLogicalClock.HybridLogicalClock | undefined
): HybridLogicalClock.HybridLogicalClock | undefined =>
  a === undefined || (b !== undefined && HybridLogicalClock.compare(b, a) > 0) ? b : a
