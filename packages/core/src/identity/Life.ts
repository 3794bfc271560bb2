/**
 * Lives of a replica: which incarnation of its store, in which run of its process. Of each member the newest that was
 * heard of is remembered, so that an older one, a copy or a process that was thought dead, is known for what it is.
 */
import { Schema } from "effect"
import * as LogId from "./LogId.ts"
import * as ReplicaId from "./ReplicaId.ts"
import * as RunId from "./RunId.ts"

/** One life. */
export const Life = Schema.Struct({
  incarnation: LogId.Incarnation,
  /** How often the store had been started when the run began, that start included. */
  starts: Schema.Int,
  run: RunId.RunId,
  /** When the run began, in milliseconds since the epoch, by the clock of its machine. Nothing is ordered by it. */
  startedAt: Schema.Finite
})

/** One life. */
export type Life = typeof Life.Type

/** The newest life of each member that is known of. */
export const Lives = Schema.Record(ReplicaId.ReplicaId, Life)

/** The newest life of each member that is known of. */
export type Lives = typeof Lives.Type

/** Order of the lives of one replica: by incarnation, then by the starts of its store; negative when `a` is older. */
export const compare = (a: Life, b: Life): number => {
  if (a.incarnation !== b.incarnation) return a.incarnation < b.incarnation ? -1 : 1
  return a.starts - b.starts || (a.run < b.run ? -1 : a.run > b.run ? 1 : 0)
}

/**
 * The life that nobody lives, of a replica that is left out: what the one before has acknowledged is taken back, and when it
 * comes back it takes another one. It lasts until that is met.
 */
export const without = (before: Life): Life => ({
  incarnation: LogId.incarnationWithout(before.incarnation),
  starts: 0,
  run: RunId.none,
  startedAt: 0
})

/** Whether a replica is left out: nobody has met a life of it since. */
export const isLeftOut = (life: Life | undefined): boolean => life?.starts === 0

/** The life of a replica; `undefined` when none is known. A replica may be called `constructor`. */
export const of = (lives: Lives, replica: ReplicaId.ReplicaId): Life | undefined =>
  Object.hasOwn(lives, replica) ? lives[replica] : undefined

/** The newest lives of both, of these replicas; `known` itself when `heard` says nothing new. */
export const merge = (known: Lives, heard: Lives, replicas: ReadonlyArray<ReplicaId.ReplicaId>): Lives => {
  let merged = known
  for (const replica of replicas) {
    const life = of(heard, replica)
    if (life === undefined) continue
    const before = of(merged, replica)
    if (before === undefined || compare(life, before) > 0) merged = { ...merged, [replica]: life }
  }
  return merged
}

/** Whether these are the same incarnations of the same replicas. */
export const areSame = (a: Lives, b: Lives): boolean => {
  const ids = Object.keys(a) as Array<ReplicaId.ReplicaId>
  return ids.length === Object.keys(b).length && ids.every((id) => of(a, id)!.incarnation === of(b, id)?.incarnation)
}

/** 32 bits by which two replicas know whether they know of the same incarnations: FNV-1a over them, by replica. */
export const hash = (lives: Lives): number => {
  let hash = 0x811c9dc5
  const ids = Object.keys(lives).sort() as Array<ReplicaId.ReplicaId>
  for (const id of ids) {
    for (const char of `${id}@${lives[id]!.incarnation} `) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  }
  return hash >>> 0
}
