// A user of @quorum/server: `npx quorum dev` in an empty folder, a write at one replica, a file by `npx quorum import`, and
// both read at another replica.
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { writeFileSync } from "node:fs"
import { promisify } from "node:util"

const port = 23_431
const startedAt = performance.now()
const dev = spawn("npx", ["quorum", "dev", "--port", String(port)], {
  stdio: ["ignore", "pipe", "inherit"],
  detached: true
})
const ended = once(dev, "exit")
const url = (replica: number) => `http://127.0.0.1:${port + replica}`
const record = (replica: number, key: string) => `${url(replica)}/v1/records/notes/${key}`
const read = async (key: string) => (await fetch(`${record(2, key)}?consistency=linearizable`)).text()

const use = async () => {
  let said = ""
  for await (const chunk of dev.stdout) {
    said += String(chunk)
    if (said.includes("Their files are in")) break
  }
  const seconds = (performance.now() - startedAt) / 1000
  const written = await fetch(record(0, "greeting"), { method: "PUT", body: "hello" })
  const lines = ["one", "two", "three"].map((key, i) => ({ namespace: "notes", key, value: { at: i } }))
  writeFileSync("notes.jsonl", lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
  const env = { ...process.env, QUORUM_URL: [0, 1, 2].map(url).join(",") }
  const { stdout: imported } = await promisify(execFile)("npx", ["quorum", "import", "notes.jsonl"], { env })
  const [greeting, last] = [await read("greeting"), await read("three")]
  console.log(
    `quorum dev: after ${seconds.toFixed(1)} s ${written.status}, read back ${greeting}; ${imported.trim()}, read back ${last}`
  )
  // It takes two on a quiet machine.
  return written.status === 201 && greeting === "hello" && last === '{"at":2}' && seconds < 30
}

try {
  process.exitCode = (await use()) ? 0 : 1
} finally {
  // The whole group, as Ctrl-C in a terminal does.
  process.kill(-dev.pid!, "SIGINT")
  await ended
  // npx does not wait for what it has started.
  while (
    await fetch(url(1)).then(
      () => true,
      () => false
    )
  )
    await new Promise((resolve) => setTimeout(resolve, 50))
}
