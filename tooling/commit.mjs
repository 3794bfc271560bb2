// Which code this is: what a figure of a long run belongs to.
import { execFileSync } from "node:child_process"
import { root } from "./turbo.mjs"

const git = (...args) => execFileSync("git", args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })

/** What is run in a simulation, beside what comes from the commit's lock file. */
const parts = ["packages/core", "packages/testing", "pnpm-lock.yaml"]

/** The commit, and whether what is simulated was changed since; `unknown` outside of a repository. */
export const commitNow = () => {
  try {
    const commit = git("rev-parse", "--short", "HEAD").trim()
    return git("status", "--porcelain", "--", ...parts) === "" ? commit : `${commit}, changed`
  } catch {
    return "unknown"
  }
}
