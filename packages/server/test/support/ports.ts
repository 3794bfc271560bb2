/** Ports of this process of tests alone, also while nobody listens on them. */
import { Effect } from "effect"
import { freePorts } from "../../../client/test/support/ports.ts"

/** The address on which everything listens. */
export const host = "127.0.0.1"

/** Ports in a row on which nobody listens. */
export const free = (count: number): Effect.Effect<ReadonlyArray<number>> => Effect.promise(() => freePorts(count))
