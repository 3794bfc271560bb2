/**
 * What the command line was, before Node made text of it: bytes that are no UTF-8 come as U+FFFD, and a key or a value would
 * be written that nobody has given.
 */
import { isUtf8 } from "node:buffer"
import { readFileSync } from "node:fs"

/** What is wrong with arguments that are not UTF-8, and what to do; undefined where all are, or the system does not tell. */
export const notUtf8 = (args: ReadonlyArray<string>, bytes: () => Uint8Array = commandLine): string | undefined => {
  const suspect = args.find((arg) => arg.includes("\uFFFD"))
  if (suspect === undefined || isUtf8(given(bytes))) return undefined
  return `${JSON.stringify(suspect)} is not UTF-8; bytes that are no text can be a value by --file, or on standard input`
}

// ---------------------------------------------------------------------------------------------------------------------

const commandLine = (): Uint8Array => readFileSync("/proc/self/cmdline")

const given = (bytes: () => Uint8Array): Uint8Array => {
  try {
    return bytes()
  } catch {
    return new Uint8Array()
  }
}
