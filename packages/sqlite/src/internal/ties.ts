/** The ties of pointers in the record index: as bytes, which are half as long as the text, and in the same order. */
import type { RecordIndex } from "@quorum/core/adapter"
import * as Database from "./database.ts"

/** As it is stored. */
export const write = (tie: Tie): Uint8Array => Buffer.from(tie, "hex")

/** As it was written. Throws where that cannot be told. */
export const read = (stored: unknown): Tie => {
  if (stored instanceof Uint8Array && stored.length === bytes) {
    return Buffer.from(stored.buffer, stored.byteOffset, bytes).toString("hex") as Tie
  }
  throw Database.damaged("a pointer of the record index is damaged")
}

// ---------------------------------------------------------------------------------------------------------------------

type Tie = RecordIndex.Pointer["tie"]

const bytes = 8
