/** Three replicas as processes, which tests kill and start again, and what they are asked as curl would ask it. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { freePorts } from "./ports.ts"

const program = fileURLToPath(new URL("./replica.ts", import.meta.url))

export interface Replicas extends AsyncDisposable {
  readonly ids: ReadonlyArray<string>
  readonly urls: ReadonlyArray<string>
  readonly start: (id: string) => Promise<void>
  /** Ends the process at once, as a power cut would. */
  readonly kill: (id: string) => Promise<void>
  /** Stops it where it stands, or lets it go on. */
  readonly signal: (id: string, signal: "SIGSTOP" | "SIGCONT") => void
  /** Waits until the replica says that writes can be committed at it. */
  readonly ready: (id: string) => Promise<void>
}

export const start = async (
  ids: ReadonlyArray<string> = ["a", "b", "c"],
  /** The tokens of which clients have to show one, as their file says them. */
  tokensOf?: ReadonlyArray<object>,
  /** The pages of which browsers may ask. */
  origins?: ReadonlyArray<string>
): Promise<Replicas> => {
  const folder = mkdtempSync(join(tmpdir(), "quorum-client-"))
  const tokens = tokensOf === undefined ? undefined : join(folder, "tokens.json")
  if (tokens !== undefined) writeFileSync(tokens, JSON.stringify(tokensOf))
  const peers: Record<string, string> = {}
  const ports = await freePorts(ids.length)
  for (const [i, id] of ids.entries()) peers[id] = `http://127.0.0.1:${ports[i]!}`
  const running = new Map<string, ChildProcess>()

  const startOne = async (self: string): Promise<void> => {
    const argument = JSON.stringify({ self, peers, folder: join(folder, self), tokens, origins })
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", program, argument], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    running.set(self, child)
    await Promise.race([
      once(child.stdout!, "data"),
      once(child, "exit").then(() => {
        throw new Error(`replica ${self} ended before it was ready`)
      })
    ])
  }
  const kill = async (id: string): Promise<void> => {
    const child = running.get(id)
    running.delete(id)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, "exit")
    child.kill("SIGKILL")
    await gone
  }
  const ready = async (id: string): Promise<void> => {
    while (!(await fetch(`${peers[id]}/readyz`).catch(() => undefined))?.ok) await delay(20)
  }

  const replicas: Replicas = {
    ids,
    urls: ids.map((id) => peers[id]!),
    start: startOne,
    kill,
    signal: (id, signal) => void running.get(id)?.kill(signal),
    ready,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(ids.map(kill))
      rmSync(folder, { recursive: true, force: true })
    }
  }
  await Promise.all(ids.map(startOne))
  await Promise.all(ids.map(ready))
  return replicas
}

/** Waits for something that has no event: a process, a replica that is asked again and again. */
export const delay = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** A write as the change feed shows it. */
export interface Change {
  readonly text: string
  readonly clock: { readonly wallTime: number; readonly logical: number }
  readonly tie: string
}

/** All writes that a replica holds, superseded ones too. */
export const changesOf = async (url: string): Promise<ReadonlyArray<Change>> => {
  const answer = await fetch(`${url}/v1/changes?namespace=load&until=now`)
  const lines = (await answer.text()).split("\n").filter((line) => line !== "")
  return lines.map((line) => JSON.parse(line) as Change).filter(({ text }) => text !== undefined)
}
