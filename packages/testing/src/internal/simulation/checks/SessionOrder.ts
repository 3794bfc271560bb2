/**
 * SessionOrder: what one client wrote with the clock of its last write is newer than that, for any W; and with its session
 * it writes after all that it did and saw before, and reads that or something newer, at whatever replicas.
 */
import { compare, type Evidence, type Held } from "../Evidence.ts"
import * as EverHeld from "../EverHeld.ts"
import type { Operation } from "../History.ts"

export const check = (evidence: Evidence): ReadonlyArray<string> => {
  const { all, history } = evidence
  /** The newest write of each key that each session has in it. */
  const seen = new Map<string, Held>()
  return history.operations.flatMap((operation) => {
    const { after, id, isSeen, key, outcome, session, writeId } = operation
    const held = writeId === undefined ? undefined : all.get(writeId)
    const found: Array<string> = []
    const earlier = after === undefined ? undefined : all.get(after)
    if (outcome === "receipt" && earlier !== undefined && held !== undefined && compare(held, earlier) <= 0) {
      found.push(`operation ${id} was to come after ${after}, and does not`)
    }
    if (session === undefined) return found
    const name = `${session.name} ${key}`
    const wanted = seen.get(name)
    if (outcome === "receipt" && wanted !== undefined && held !== undefined && compare(held, wanted) <= 0) {
      found.push(`operation ${id} was to come after ${wanted.id}, which its session has in it, and does not`)
    }
    if (outcome === "read" && wanted !== undefined && !showsAtLeast(evidence, operation, wanted)) {
      found.push(`operation ${id} showed ${writeId ?? "nothing"} of ${key} after ${wanted.id} in its session`)
    }
    const saw =
      held ?? (outcome === "read" && wanted !== undefined ? deletedAfter(evidence, operation, wanted) : undefined)
    if (isSeen && saw !== undefined && (wanted === undefined || compare(saw, wanted) > 0)) seen.set(name, saw)
    return found
  })
}

// ---------------------------------------------------------------------------------------------------------------------

/** Whoever is shown nothing has seen a delete: that which was seen before, or this one, which is newer, or a newer one. */
const deletedAfter = ({ all }: Evidence, { key, namespace }: Operation, wanted: Held): Held | undefined =>
  Array.from(all.values())
    .filter((held) => compare(held, wanted) >= 0 && deletes(held, namespace, key))
    .reduce<Held | undefined>(
      (first, held) => (first === undefined || compare(held, first) < 0 ? held : first),
      undefined
    )

const deletes = ({ entry }: Held, namespace: string, key: string): boolean =>
  entry.records.some((each) => each.key === key && each.namespace === namespace && each.kind === "delete")

/** Copies under other places are one write; and nothing is shown rightly when that write, or a newer one, deletes it. */
const showsAtLeast = ({ all }: Evidence, { key, namespace, writeId }: Operation, wanted: Held): boolean => {
  const isEnough = (held: Held): boolean =>
    compare(held, wanted) >= 0 || EverHeld.writeOf(held) === EverHeld.writeOf(wanted)
  if (writeId !== undefined) {
    const held = all.get(writeId)
    return held !== undefined && isEnough(held)
  }
  return Array.from(all.values()).some((held) => isEnough(held) && deletes(held, namespace, key))
}
