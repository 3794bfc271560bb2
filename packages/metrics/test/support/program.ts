/** Programs that are not ours: run when they are installed; otherwise the test says what it lacks. */
import { spawnSync } from "node:child_process"

/** Whether a program can be run. */
export const isInstalled = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined

/** Runs a program to its end. */
export const run = (program: string, args: ReadonlyArray<string>, input?: string) => {
  const { status, stderr, stdout } = spawnSync(program, args, {
    encoding: "utf8",
    ...(input === undefined ? {} : { input })
  })
  return { status, said: `${stdout}${stderr}` }
}
