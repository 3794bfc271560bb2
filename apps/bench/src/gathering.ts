/**
 * A program that uses @quorum/client, as a process: its writers share requests.
 */
import { createClient, type QuorumClient } from "@quorum/client"
import { run as closedLoop, type Run } from "./ClosedLoop.ts"
import * as Lines from "./Lines.ts"

const { urls }: { urls: ReadonlyArray<string> } = JSON.parse(process.argv[2]!)

Lines.serve(async (run: Run) => {
  const client = createClient({ urls })
  const sample = await closedLoop(run, asked(client, run))
  await client.close()
  return sample
})

function asked(client: QuorumClient, { keys, reads, valueBytes }: Run): (key: string) => Promise<unknown> {
  const value = new Uint8Array(valueBytes).fill(120)
  if (reads === undefined) return (key) => client.put("bench", key, value)
  if (reads === "list") return () => list(client, keys)
  return async (key) => {
    const record = await client.get("bench", key, { consistency: reads })
    if (record === undefined) throw new Error(`${key} is not found`)
  }
}

/** Takes so many records of a list, in the largest pages that there are. */
async function list(client: QuorumClient, count: number): Promise<void> {
  let left = count
  for await (const _ of client.list("bench", { pageSize: 1000 })) if (--left === 0) return
  throw new Error(`the list ends ${left} records too early`)
}
