// The ceiling's writer as a process that prints every key when it was acknowledged, until it is killed.
import { writeSync } from "node:fs"
import * as GroupCommit from "../../src/ceiling/GroupCommit.ts"

const { commit } = await GroupCommit.open({ ...JSON.parse(process.argv[2]!), w: 2 })
const value = new Uint8Array(128)
let made = 0

const next = (): void => {
  const key = `key-${made++}`
  commit(key, value, () => {
    writeSync(1, `${key}\n`)
    next()
  })
}
for (let i = 0; i < 32; i++) next()
