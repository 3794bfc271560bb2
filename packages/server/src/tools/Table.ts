/**
 * Tables as text: for a terminal, in columns that are as wide as what is in them.
 */
import { CliOutput } from "effect/cli"
import { printable } from "./Progress.ts"

/** The lines of a table. Columns whose name begins with a blank are aligned to the right. */
export const lines = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>
): ReadonlyArray<string> => {
  const all = [head.map((name) => name.trim()), ...rows].map((row) =>
    row.map((cell) => printable(cell).replaceAll("\n", "\\n"))
  )
  const widths = head.map((_, i) => Math.max(...all.map((row) => CliOutput.displayWidth(row[i] ?? ""))))
  return all.map((row) =>
    row
      .map((cell, i) => {
        const room = " ".repeat(widths[i]! - CliOutput.displayWidth(cell))
        return head[i]!.startsWith(" ") ? `${room}${cell}` : `${cell}${room}`
      })
      .join("  ")
      .trimEnd()
  )
}
