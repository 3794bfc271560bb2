/**
 * What a store says of itself: whose it is, where and under which boot it was open, and the notes of its replica.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import { Context, type Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import { crc32 } from "node:zlib"
import * as Environment from "./environment.ts"
import type { Guard } from "./guard.ts"

/**
 * Names this run of the operating system. Linux says it; elsewhere it is the time of the boot to the nearest ten
 * seconds, so that a clock that was set looks like a boot, and costs a new log.
 */
export const Boot = Context.Reference<string>("@quorum/lmdb/Boot", {
  defaultValue: () => {
    try {
      return fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    } catch {
      return `at ${Math.round((Date.now() / 1000 - os.uptime()) / 10)}`
    }
  }
})

/** Where a file is, as one text: a copy has another inode, or another time of birth. */
export const placeOf = (file: string): string => {
  const { birthtimeNs, ino } = fs.statSync(file, { bigint: true })
  return `${ino} ${birthtimeNs}`
}

/** The notes in their table. */
export interface Notes {
  readonly get: (name: string) => string | undefined
  /** Sets notes, and whose store it is where that is given: all of it or nothing. */
  readonly set: (
    notes: Readonly<Record<string, string>>,
    identity?: ReplicaStore.StoreIdentity
  ) => Effect.Effect<void, ReplicaStore.StoreError>
  /** Whose store it is; `undefined` in a new one. */
  readonly identity: () => ReplicaStore.StoreIdentity | undefined
}

/**
 * Reads and writes the notes of a store, which are kept with a check of each. Throws where one is damaged: a replica that forgot
 * what it noted might vote although it lacks what it acknowledged.
 */
export const make = (file: string, environment: Environment.Environment, guard: Guard): Notes => {
  const table = environment.table("notes")
  for (const { key, value } of table.getRange({})) {
    if (value.length >= checkBytes && value.readUInt32BE(0) === checkOf(key, value.subarray(checkBytes))) continue
    throw Environment.damaged(`${file} is damaged in what it says of itself; ${Environment.remedy}`)
  }
  const get = (key: string): string | undefined => table.getBinary(Buffer.from(key))?.toString("utf8", checkBytes)
  const put = (name: string, text: string) => {
    const [key, value] = [Buffer.from(name), Buffer.from(text)]
    const check = Buffer.alloc(checkBytes)
    check.writeUInt32BE(checkOf(key, value))
    environment.put(table, key, Buffer.concat([check, value]))
  }
  return {
    get: (name) => get(noteKey(name)),
    set: (notes, identity) => {
      const bytes = Object.values(notes).reduce((sum, { length }) => sum + 3 * length, 0)
      return guard.commit("its notes", bytes, () => {
        for (const [name, value] of Object.entries(notes)) put(noteKey(name), value)
        if (identity !== undefined) put(identityKey, JSON.stringify({ ...identity, version }))
      })
    },
    identity: () => {
      const found = get(identityKey)
      if (found === undefined) {
        // Whose it is was written first.
        const isNew = [table, environment.table("entries")].every((each) => each.getKeysCount({ limit: 1 }) === 0)
        if (isNew) return undefined
        throw Environment.damaged(`${file} does not say whose it is; ${Environment.remedy}`)
      }
      const said: unknown = JSON.parse(found)
      const { version: written } = decodeVersion(said)
      if (written === version) return decodeIdentity(said)
      throw Environment.damaged(
        `${file} has tables of version ${written}, and this @quorum/lmdb knows version ${version}; ` +
          "use the version of @quorum/lmdb that wrote it"
      )
    }
  }
}

/** What the notes of a store and where it is opened leave in doubt. */
export const doubtOf = (notes: Notes, place: string, boot: string): ReplicaStore.Doubt => {
  if (notes.get("place") !== place) return "other_place"
  if (notes.get(ReplicaStore.recoveringNote) === "blank") return "blank"
  return notes.get("boot") === boot ? "none" : "other_boot"
}

// ---------------------------------------------------------------------------------------------------------------------

/** Of the tables. */
const version = 2

/** Bytes of a check before each value, of its name and of it. */
const checkBytes = 4
const checkOf = (key: Buffer, value: Buffer): number => crc32(value, crc32(key))

const identityKey = "identity"
const noteKey = (name: string): string => `note ${name}`

const decodeVersion = Schema.decodeUnknownSync(Schema.Struct({ version: Schema.Int }))
const decodeIdentity = Schema.decodeUnknownSync(ReplicaStore.StoreIdentity)
