// A user of @quorum/server: `npx quorum dev` in an empty folder, a write at one replica and a read at another.
import { spawn } from "node:child_process"
import { once } from "node:events"

const startedAt = performance.now()
const dev = spawn("npx", ["quorum", "dev", "--port", "23431"], { stdio: ["ignore", "pipe", "inherit"], detached: true })
let said = ""
for await (const chunk of dev.stdout) {
  said += String(chunk)
  if (said.includes("Their files are in")) break
}
const seconds = (performance.now() - startedAt) / 1000
const url = (port: number) => `http://127.0.0.1:${port}/v1/records/notes/greeting`
const written = await fetch(url(23_431), { method: "PUT", body: "hello" })
const read = await fetch(`${url(23_433)}?consistency=linearizable`)
const ended = once(dev, "exit")
// The whole group, as Ctrl-C in a terminal does.
process.kill(-dev.pid!, "SIGINT")
await ended
// npx does not wait for what it has started.
while (
  await fetch(url(23_432)).then(
    () => true,
    () => false
  )
)
  await new Promise((resolve) => setTimeout(resolve, 50))
console.log(`quorum dev: after ${seconds.toFixed(1)} s ${written.status}, read back ${await read.text()}`)
// It takes two on a quiet machine.
if (written.status !== 201 || seconds > 30) process.exit(1)
