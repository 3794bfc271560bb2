/** A program that follows the changes of a replica and keeps all that comes in a file, until it is killed. */
import { openSync, writeSync } from "node:fs"

const [url, file] = process.argv.slice(2)
const kept = openSync(file!, "w")
const answer = await fetch(url!)
for await (const chunk of answer.body!) writeSync(kept, chunk as Uint8Array)
