/**
 * A program that follows the changes of a replica and keeps all that comes in a file, until it is killed. A replica that
 * is not ready is asked again.
 */
import { openSync, writeSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"

const [url, file] = process.argv.slice(2)
const kept = openSync(file!, "w")
let answer = await fetch(url!)
for (; answer.status === 503; answer = await fetch(url!)) await delay(20)
if (!answer.ok) throw new Error(await answer.text())
for await (const chunk of answer.body!) writeSync(kept, chunk as Uint8Array)
