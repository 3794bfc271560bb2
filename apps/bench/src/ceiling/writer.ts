/**
 * The replica of the ceiling that takes writes, as a process, with the closed loop in it.
 */
import { setTimeout } from "node:timers/promises"
import { randomKey, recorder, type Run } from "../ClosedLoop.ts"
import * as Lines from "../Lines.ts"
import * as GroupCommit from "./GroupCommit.ts"

const { folder, peers }: { folder: string; peers: ReadonlyArray<string> } = JSON.parse(process.argv[2]!)
const { commit, quiet } = await GroupCommit.open({ folder, peers, w: 2 })

const measure = async (run: Run) => {
  const value = new Uint8Array(run.valueBytes).fill(120)
  const { answered, sample } = recorder(run)
  const writer = () =>
    new Promise<void>((resolve) => {
      let startedAt = performance.now()
      const done = (): void => {
        if (!answered(startedAt)) return resolve()
        startedAt = performance.now()
        commit(`bench/${randomKey(run.keys)}`, value, done)
      }
      commit(`bench/${randomKey(run.keys)}`, value, done)
    })
  await Promise.all(Array.from({ length: run.writers }, writer))
  while (!quiet()) await setTimeout(10)
  return sample()
}

Lines.serve(measure)
