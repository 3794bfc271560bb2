/**
 * Overlap: a read that asks R replicas, and began after a write of its key was acknowledged by W of them, shows that write
 * or a newer one where W + R is more than N: one of the R is among the W.
 *
 * What fewer than a majority acknowledged is not safe from the loss of as many disks, and W is a majority or more here.
 */
import { compare, type Evidence, type Held } from "../Evidence.ts"
import * as EverHeld from "../EverHeld.ts"
import * as History from "../History.ts"
import type { World } from "../World.ts"

export const check = ({ history, majority, world }: Evidence): ReadonlyArray<string> => {
  const written = History.committed(history).filter(({ w }) => w >= majority)
  return history.operations.flatMap((read) => {
    const { answered, asked, consistency, id, key, kind, namespace, outcome, r = majority, value, writeId } = read
    if (kind !== "read" || outcome !== "read" || consistency === "local") return []
    const before = written.flatMap((each) => {
      const isMet = each.w + r > world.members.length && each.answered! < asked
      const held = each.key === key && isMet ? find(world, each.writeId!) : undefined
      return held === undefined ? [] : [{ id: each.id, held }]
    })
    if (before.length === 0) return []
    const wanted = before.reduce((a, b) => (compare(a.held, b.held) > 0 ? a : b))
    const isNewEnough = (held: Held | undefined): boolean => held !== undefined && !isOlder(held, wanted.held)
    if (writeId !== undefined && isNewEnough(find(world, writeId))) return []
    // Nothing is there: right when that write, or a newer one that was asked for by then, deletes it.
    const isDelete = ({ entry }: Held): boolean =>
      entry.records.some((each) => each.key === key && each.namespace === namespace && each.kind === "delete")
    const isLate = (held: Held): boolean =>
      history.operations.some((each) => each.writeId === held.id && each.kind === "write" && each.asked > answered!)
    const isDeleted =
      writeId === undefined &&
      world.members.some((member) =>
        (EverHeld.of(world, member).ofKeys.get(EverHeld.keyOf({ key, namespace })) ?? []).some(
          (held) => isDelete(held) && isNewEnough(held) && !isLate(held)
        )
      )
    if (isDeleted) return []
    const seen = value === undefined ? "nothing" : `${value}, ${writeId}`
    return [
      `operation ${id}, a ${consistency} read of ${key} at ${r}, began after operation ${wanted.id} was acknowledged, and saw ${seen}`
    ]
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** A write as any disk has ever held it. */
const find = (world: World, writeId: NonNullable<History.Operation["writeId"]>): Held | undefined => {
  for (const member of world.members) {
    const held = EverHeld.of(world, member).entries.get(writeId)
    if (held !== undefined) return held
  }
  return undefined
}

/** Whether the first is the older write. Copies under other places are one write. */
const isOlder = (a: Held, b: Held): boolean => EverHeld.writeOf(a) !== EverHeld.writeOf(b) && compare(a, b) < 0
