/**
 * Room for the write-ahead log of a store: zeros, where SQLite will write. So a sync of what is written there changes nothing
 * of the file system's own, and a start has room on a full disk.
 */
import { randomUUID } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { walOf } from "./files.ts"

/**
 * Makes a file so long by zeros, durably: to sync what is written over them costs the file system no change of its own.
 * Without room for that the file stays as it is.
 */
export const lengthen = (descriptor: number, bytes: number): void => {
  const { size } = fs.fstatSync(descriptor)
  if (size >= bytes) return
  if (!writeZeros(descriptor, size, bytes)) fs.ftruncateSync(descriptor, size)
  fs.fsyncSync(descriptor)
}

/**
 * Makes the write-ahead log of a file that was closed again, of so many bytes or as many as there is room for: it keeps them
 * for the next start, which has to write on a full disk too. It is all zeros, which SQLite takes for a log of nothing.
 *
 * Another process may have the file by now, and a log of its own, or is about to make one. So the zeros are written under
 * another name, and get that of the log all at once, where nothing has it.
 */
export const keepWal = (file: string, bytes: number): void => {
  try {
    removeMade(file)
    const made = `${walOf(file)}${madeMark}${randomUUID()}`
    const descriptor = fs.openSync(made, "wx", 0o600)
    try {
      writeZeros(descriptor, 0, bytes)
      fs.fsyncSync(descriptor)
      fs.linkSync(made, walOf(file))
    } finally {
      fs.closeSync(descriptor)
      fs.rmSync(made, { force: true })
    }
  } catch {
    // A log that is there stays, and without any of it the file is whole.
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** What a crash left of making such a log. */
const removeMade = (file: string): void => {
  const folder = path.dirname(file)
  for (const name of fs.readdirSync(folder)) {
    if (name.startsWith(`${path.basename(walOf(file))}${madeMark}`)) fs.rmSync(path.join(folder, name), { force: true })
  }
}

const madeMark = "-made-"

/** Writes zeros from one place of a file to another. Returns whether there was room for all of them. */
const writeZeros = (descriptor: number, from: number, to: number): boolean => {
  // Page by page: Linux keeps what is written at once as one piece, and counts all of it as written when a part of it is.
  for (let end = from; end < to;) {
    const next = Math.min(to, end - (end % pageBytes) + pageBytes)
    if (!write(descriptor, zeros.subarray(0, next - end), end)) return false
    end = next
  }
  return true
}

const pageBytes = 4096
const zeros = new Uint8Array(pageBytes)

/** Writes bytes at a place of a file. Returns whether there was room for all of them. */
const write = (descriptor: number, bytes: Uint8Array, at: number): boolean => {
  try {
    return fs.writeSync(descriptor, bytes, 0, bytes.length, at) === bytes.length
  } catch {
    return false
  }
}
