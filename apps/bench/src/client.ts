/**
 * A client of the HTTP API, as a process: PUTs to one replica over a pool with one connection per writer.
 */
import { Pool } from "undici"
import { run as closedLoop, type Run } from "./ClosedLoop.ts"
import * as Lines from "./Lines.ts"

const { url }: { url: string } = JSON.parse(process.argv[2]!)
const openedAtOnce = 256

Lines.serve(async (run: Run) => {
  const pool = new Pool(url, { connections: run.writers })
  const value = Buffer.alloc(run.valueBytes, 120)
  await open(pool, run.writers)
  const sample = await closedLoop(run, async (key) => {
    const { body, statusCode } = await pool.request({ method: "PUT", path: `/v1/records/bench/${key}`, body: value })
    const text = await body.text()
    if (statusCode !== 201) throw new Error(`${statusCode} ${text}`)
  })
  await pool.close()
  return sample
})

/**
 * Opens all connections before writes are made, some at a time: of more than `ServerConnections.maxSilent` on which nothing
 * was asked yet a replica ends the oldest, and the first writes of a thousand writers at once would be among them.
 */
async function open(pool: Pool, connections: number): Promise<void> {
  for (let opened = 0; opened < connections;) {
    opened = Math.min(connections, opened + openedAtOnce)
    const answers = Array.from({ length: opened }, () =>
      pool.request({ method: "GET", path: "/v1/records/bench/none" })
    )
    await Promise.all(answers.map(async (answer) => (await answer).body.dump()))
  }
}
