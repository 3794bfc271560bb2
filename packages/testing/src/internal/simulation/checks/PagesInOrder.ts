/** PagesInOrder: a page shows records of its part, each once and in their order, and no more of them than were asked for. */
import type { ReplicaId } from "@quorum/core"
import type { World } from "../World.ts"

/** Which page was asked for. */
export interface Asked {
  readonly namespace: string
  readonly after: string | undefined
  readonly reverse: boolean
  readonly limit: number
}

/** Whether a key belongs to the part that a page covers: after one key, up to where it goes on; all keys are ASCII here. */
export const isCovered = ({ after, reverse }: Asked, next: string | undefined, key: string): boolean => {
  const isBefore = (a: string, b: string): boolean => (reverse ? b < a : a < b)
  return (after === undefined || isBefore(after, key)) && (next === undefined || !isBefore(next, key))
}

/** Looks at the keys that a page shows. */
export const onPage = (
  { violated }: World,
  at: ReplicaId.ReplicaId,
  asked: Asked,
  next: string | undefined,
  keys: ReadonlyArray<string>
): void => {
  const isNext = (key: string, i: number): boolean =>
    isCovered({ ...asked, after: i === 0 ? asked.after : keys[i - 1] }, next, key)
  if (keys.length <= asked.limit && keys.every(isNext)) return
  const { after, limit, namespace } = asked
  violated("PagesInOrder", `${at} shows ${keys.join(", ")} as ${limit} of ${namespace} after ${after ?? "none"}`)
}
