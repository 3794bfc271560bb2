/**
 * Changes: the writes that a replica holds, log after log in the order of their places, and those that come later.
 *
 * A reader keeps the position of the last page that it has dealt with, and goes on from there after any break, at this
 * replica or at another one: it sees every write at least once. There is no order between the logs; of two changes of a
 * key the one with the greater version (`clock`, then `tie`) is the newer.
 */
import { Schema, SchemaTransformation } from "effect"
import * as LogId from "../identity/LogId.ts"
import type { RunId } from "../identity/RunId.ts"
import type { WriteId } from "../identity/WriteId.ts"
import * as Chain from "../log/Chain.ts"
import type { HybridLogicalClock } from "../log/HybridLogicalClock.ts"
import type { StoreError } from "../log/ReplicaStore.ts"
import * as Watermark from "../log/Watermark.ts"
import type * as QuorumError from "../quorum/QuorumError.ts"
import type { ReadRejected } from "../record/ReadRejected.ts"
import type { RecordKey } from "../record/RecordKey.ts"

/** Up to where a reader has seen each log. A log that it does not name is read from its first entry on. */
export const Vector = Watermark.VersionVector.check(
  Schema.makeFilter((vector) => new Set(vector.map(({ log }) => log)).size === vector.length, {
    expected: "each log once"
  }),
  // Before the first entry of a log there is nothing that could be another.
  Schema.makeFilter((vector) => vector.every(({ chain, seq }) => seq > 0 || chain === Chain.empty), {
    expected: "no chain of a log of which nothing was seen"
  })
)

/** Up to where a reader has seen each log. */
export type Vector = typeof Vector.Type

/** A {@link Vector} as opaque text, for URLs, headers and files. */
export const Position = Schema.StringFromBase64Url.check(
  Schema.isPattern(/^(?:[^,:]+:\d{1,16}\.[0-9a-f]{16}(?:,(?!$)|$))*$/, { message: "it is not the position of a page" })
).pipe(
  Schema.decodeTo(
    Vector,
    SchemaTransformation.transform<typeof Vector.Encoded, string>({
      decode: (text) =>
        (text === "" ? [] : text.split(",")).map((watermark) => {
          const colon = watermark.indexOf(":")
          const dot = watermark.indexOf(".", colon)
          return {
            log: watermark.slice(0, colon),
            seq: Number(watermark.slice(colon + 1, dot)),
            chain: watermark.slice(dot + 1)
          }
        }),
      encode: (vector) => vector.map(({ chain, log, seq }) => `${log}:${seq}.${chain}`).join(",")
    })
  )
)

/** One write of a key. */
export interface Change extends RecordKey {
  /** Whether it removed the key. */
  readonly deleted: boolean
  /** The new value; empty for a delete. */
  readonly value: Uint8Array
  /** What the writer said the value is; absent when nothing was said. */
  readonly contentType?: string
  /** The write; several changes have one id when they were written as one. */
  readonly writeId: WriteId
  readonly clock: HybridLogicalClock
  /** What orders writes of one clock. */
  readonly tie: RunId
}

/** Changes that follow one another. */
export interface Page {
  readonly changes: ReadonlyArray<Change>
  /** Up to where they, and those that nobody asked for, reach: where to go on from. */
  readonly position: Vector
}

/** Which changes are asked for. */
export interface Options {
  /** The position of the last page that was dealt with; from the beginning unless given. */
  readonly since?: Vector
  /** The namespace of the keys; all unless given. */
  readonly namespace?: string
  /** What the keys begin with, in a namespace. */
  readonly prefix?: string
  /** `"now"` ends with what is held when it begins; it goes on for ever unless given. */
  readonly until?: "now"
  /**
   * After so many milliseconds without a change there is a page without one, which says how far was looked: that the
   * replica lives, and where to go on. Never unless given.
   */
  readonly idleMillis?: number
}

/**
 * Entries `from … to` of a log are held here and cannot be read, and everything else that is held was shown. The same
 * position goes on at another replica, or here when they have been mended.
 */
export class LogDamaged extends Schema.TaggedError<LogDamaged>()("LogDamaged", {
  log: LogId.LogId,
  from: LogId.Sequence,
  to: LogId.Sequence
}) {
  override get message(): string {
    return (
      `entries ${this.from} to ${this.to} of ${this.log} are damaged on this replica; go on from the same position at ` +
      `another one`
    )
  }
}

/**
 * Deletes that come after the position are forgotten on this replica: who holds what they deleted would never hear of it.
 * Or no member has what the position has seen: the set began with a backup, or members were lost, and others given up.
 * Nothing was shown. Keep `position`, the {@link Position} of now as text, read the records that there are, and go on from
 * it: what is written meanwhile is shown from there on. Another replica may lack records that are before it: read there
 * with a session, which `ClientSessions.afterPage` answers here.
 */
export class ChangesForgotten extends Schema.TaggedError<ChangesForgotten>()("ChangesForgotten", {
  position: Schema.String
}) {
  override get message(): string {
    return (
      `deletes after this position are forgotten, or what it has seen is lost; read the records that there are, and ` +
      `follow from ${this.position}`
    )
  }
}

/**
 * Why changes end.
 *
 * - `ReadRejected`: what was asked cannot be; `field` names the part of it
 * - `WriteReplaced`: of a log the reader has seen a copy that did not last; what followed it there is not to be trusted.
 *   Begin anew
 * - `ChangesForgotten`: the reader has been away for too long, or begins where there were deletes, or has seen what is lost
 * - `LogDamaged`, `StoreError`: this replica cannot read a log; others may
 * - `NotReady`: this replica may lack what it acknowledged
 * - `ReplicaClosing`: go on from the same position at another replica
 */
export type ChangesError =
  | ReadRejected
  | QuorumError.WriteReplaced
  | ChangesForgotten
  | LogDamaged
  | StoreError
  | QuorumError.NotReady
  | QuorumError.ReplicaClosing

/** The position before everything. */
export const beginning: Vector = []
