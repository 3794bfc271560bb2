/**
 * The version of a write: its clock, and its tie, by which writes of one clock are ordered.
 *
 * The tie belongs to the write and not to the log that carries a copy of it: it names the run of the replica that
 * stamped the write. A replica ticks its clock for every stamp, so no two writes have one version, and all copies of
 * one write have the same.
 */
import { Schema } from "effect"
import { RunId } from "../identity/RunId.ts"
import * as HybridLogicalClock from "./HybridLogicalClock.ts"

/** The version of a write. */
export const Version = Schema.Struct({ clock: HybridLogicalClock.HybridLogicalClock, tie: RunId })

/** The version of a write. */
export type Version = typeof Version.Type

/** Order of versions: by the clock, then by the tie. 0 for copies of one write. */
export const compare = (a: Version, b: Version): number =>
  HybridLogicalClock.compare(a.clock, b.clock) || (a.tie === b.tie ? 0 : a.tie < b.tie ? -1 : 1)
