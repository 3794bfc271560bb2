/**
 * A client of the HTTP API, as a process: PUTs to one replica over a pool with one connection per writer.
 */
import { Pool } from "undici"
import { run as closedLoop, type Run } from "./ClosedLoop.ts"
import * as Lines from "./Lines.ts"

const { url }: { url: string } = JSON.parse(process.argv[2]!)

Lines.serve(async (run: Run) => {
  const pool = new Pool(url, { connections: run.writers })
  const value = Buffer.alloc(run.valueBytes, 120)
  const sample = await closedLoop(run, async (key) => {
    const { body, statusCode } = await pool.request({ method: "PUT", path: `/v1/records/bench/${key}`, body: value })
    const text = await body.text()
    if (statusCode !== 201) throw new Error(`${statusCode} ${text}`)
  })
  await pool.close()
  return sample
})
