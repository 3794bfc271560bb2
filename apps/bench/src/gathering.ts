/**
 * A program that uses @quorum/client, as a process: its writers share requests.
 */
import { createClient } from "@quorum/client"
import { run as closedLoop, type Run } from "./ClosedLoop.ts"
import * as Lines from "./Lines.ts"

const { urls }: { urls: ReadonlyArray<string> } = JSON.parse(process.argv[2]!)

Lines.serve(async (run: Run) => {
  const client = createClient({ urls })
  const value = new Uint8Array(run.valueBytes).fill(120)
  const sample = await closedLoop(run, async (key) => void (await client.put("bench", key, value)))
  await client.close()
  return sample
})
