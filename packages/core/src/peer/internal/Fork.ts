/**
 * A log of which two copies go on differently after some entry, as a copied or restored store can make it: where it
 * forked, and which of the two sides stays. Pure.
 *
 * Whoever holds the other side commits its entries again under a log of its own, with their clocks and ties, so that both
 * copies of a write are one version, and only then gives that side up. Nothing of either side is lost, whoever is away.
 *
 * Copies are ordered by the first entry in which they differ, and so is every path in the tree of all copies that ever
 * were: that order is total, each replica only ever goes up in it, and every two that meet agree on which is the higher.
 * Who recovers, and is alone on a path, leaves that first (see `Forks`). So all end on one side, however many there are, in
 * whatever order replicas meet, and whether or not the owner is one of them. The length of a side says nothing, as it
 * changes while others look.
 */
import type * as Chain from "../../log/Chain.ts"
import * as Version from "../../log/Version.ts"

/** The first entry of a side: its version, and the chain after it. */
export interface Side extends Version.Version {
  readonly chain: Chain.Chain
}

/**
 * Whether of two sides of a log the first stays: the one that was begun earlier, which is the original where a copy of a
 * store went on without knowing. Of two entries of one version, that with the smaller chain.
 */
export const stays = (side: Side, other: Side): boolean => {
  const order = Version.compare(side, other)
  return order === 0 ? side.chain < other.chain : order < 0
}

/**
 * Which place to compare next, between one at which two copies agree and a later one at which they differ; `undefined`
 * when the later one is the first at which they do.
 */
export const between = (agreed: number, differs: number): number | undefined =>
  differs - agreed > 1 ? Math.floor((agreed + differs) / 2) : undefined
