/**
 * What is noted of the members in the store: it has to outlive the process.
 */
import { Effect, Option, Schema } from "effect"
import * as Life from "../../identity/Life.ts"
import { Incarnation } from "../../identity/LogId.ts"
import { ReplicaId } from "../../identity/ReplicaId.ts"
import * as BackupOrigin from "../../log/BackupOrigin.ts"
import * as ReplicaStore from "../../log/ReplicaStore.ts"
import * as Watermark from "../../log/Watermark.ts"
import * as GivenUp from "../GivenUp.ts"

/** Whether something may be missing that was acknowledged: after a first start or a wipe, or otherwise. */
export type Standing = "voting" | "blank" | "lost"

/** What each member is remembered to have acked, and in which life. */
const Remembered = Schema.Record(
  ReplicaId,
  Schema.Struct({ incarnation: Incarnation, vector: Watermark.VersionVector })
)

/** What each member is remembered to have acked, and in which life. */
export type Remembered = typeof Remembered.Type

/** Who was marked as away too long, and whose marks were taken back; see `Absence`. */
const Away = Schema.Struct({
  turn: Schema.Int,
  marks: Schema.Record(ReplicaId, Incarnation),
  lapsed: Schema.Record(ReplicaId, Schema.Struct({ incarnation: Incarnation, unheard: Schema.Array(ReplicaId) }))
})

/** The names of the notes, and how they are spelled. */
const codecs = {
  lives: Schema.fromJsonString(Life.Lives),
  founders: Schema.fromJsonString(Life.Lives),
  remembered: Schema.fromJsonString(Remembered),
  givenUp: Schema.fromJsonString(Schema.Array(GivenUp.GivenUp)),
  away: Schema.fromJsonString(Away),
  starts: Schema.NumberFromString
}
type Values = { readonly [K in keyof typeof codecs]: (typeof codecs)[K]["Type"] }

const encoders = {
  lives: Schema.encodeUnknownSync(codecs.lives),
  founders: Schema.encodeUnknownSync(codecs.founders),
  remembered: Schema.encodeUnknownSync(codecs.remembered),
  givenUp: Schema.encodeUnknownSync(codecs.givenUp),
  away: Schema.encodeUnknownSync(codecs.away),
  starts: Schema.encodeUnknownSync(codecs.starts)
}

const read = <A>(
  note: Effect.Effect<Option.Option<string>, ReplicaStore.StoreError>,
  codec: Schema.Codec<A, string>,
  none: A
) => Effect.map(note, (text) => Option.getOrElse(Option.flatMap(text, Schema.decodeOption(codec)), () => none))

/** Reads all notes; what is missing, or cannot be read, is as in a new store. */
export const load = Effect.fnUntraced(function* (store: ReplicaStore.ReplicaStore["Service"]) {
  const note = Option.getOrElse(yield* store.note(ReplicaStore.recoveringNote), () => "")
  const restored = Option.getOrElse(yield* store.note(ReplicaStore.restoredNote), () => "")
  if (restored === ReplicaStore.restoredInPart) {
    const detail =
      "a backup is in it in part, because its restore was interrupted; restore the file again, or start with an empty folder"
    return yield* new ReplicaStore.StoreError({ reason: "unavailable", detail })
  }
  const standing: Standing = note === "" ? "voting" : note === "blank" ? "blank" : "lost"
  return {
    standing,
    restored: restored !== "",
    restoredFrom: yield* BackupOrigin.load(store),
    lives: yield* read(store.note("lives"), codecs.lives, {}),
    founders: yield* read(store.note("founders"), codecs.founders, {}),
    remembered: yield* read(store.note("remembered"), codecs.remembered, {}),
    givenUp: yield* read(store.note("givenUp"), codecs.givenUp, []),
    away: yield* read(store.note("away"), codecs.away, { turn: 0, marks: {}, lapsed: {} }),
    starts: yield* read(store.note("starts"), codecs.starts, 0)
  }
})

/** Notes as the store takes them. */
export const encode = (values: Partial<Values>): Record<string, string> =>
  Object.fromEntries(
    (Object.keys(values) as Array<keyof Values>).map((name) => [name, String(encoders[name](values[name]))])
  )
