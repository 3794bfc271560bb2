/** Starts a program, prints its id, and waits to be killed. */
import { tmpdir } from "node:os"
import { Effect } from "effect"
import * as Program from "../../src/others/Program.ts"

const program: Program.Program = {
  name: "script",
  command: process.execPath,
  args: ["-e", "console.log('ready'); setInterval(() => undefined, 1000)"],
  folder: tmpdir()
}

Program.start(program, /ready/).pipe(
  Effect.tap((pid) => Effect.sync(() => console.log(pid))),
  Effect.andThen(Effect.never),
  Effect.scoped,
  Effect.runPromise
)
