/**
 * Which backup a store was filled from. Members that begin together after all was lost have to have the same: of two that
 * were taken at different times the older one may have what was deleted, and forgotten, before the newer one.
 */
import { Effect, Option, Schema } from "effect"
import * as Chain from "./Chain.ts"
import * as ReplicaId from "../identity/ReplicaId.ts"
import type * as ReplicaStore from "./ReplicaStore.ts"

/** A backup: of which replica it is, when it was taken (milliseconds since the epoch), and the check over all of the file. */
export const BackupOrigin = Schema.Struct({
  replica: ReplicaId.ReplicaId,
  takenAt: Schema.Finite,
  check: Chain.Chain
})

/** A backup that a store was filled from. */
export type BackupOrigin = typeof BackupOrigin.Type

/** The note of the store that names it; empty when it was filled from none, or holds what its members hold by now. */
export const note = "restoredFrom"

/** What a store notes of it. */
export const load = (
  store: ReplicaStore.ReplicaStore["Service"]
): Effect.Effect<BackupOrigin | undefined, ReplicaStore.StoreError> =>
  Effect.map(store.note(note), (text) => Option.getOrUndefined(Option.flatMap(text, decode)))

/** As the note has it. */
export const encode = ({ check, replica, takenAt }: BackupOrigin): Record<string, string> => ({
  [note]: encodeText({ replica, takenAt, check })
})

/** Whether both are of one file, or of none. */
export const isSame = (a: BackupOrigin | undefined, b: BackupOrigin | undefined): boolean => a?.check === b?.check

/** In words. */
export const format = (origin: BackupOrigin | undefined): string =>
  origin === undefined
    ? "none"
    : `that of ${origin.replica} of ${new Date(origin.takenAt).toISOString()} (${origin.check})`

// ---------------------------------------------------------------------------------------------------------------------

const codec = Schema.fromJsonString(BackupOrigin)
const decode = Schema.decodeOption(codec)
const encodeText = Schema.encodeSync(codec)
