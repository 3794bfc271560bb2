// The built client in a plain old Node: without types, and without anything that is newer than Node 20.
import { createClient } from "../../dist/index.js"

const client = createClient({ urls: process.argv.slice(2) })
const stopped = new AbortController()
const watch = client.watch("old", { signal: stopped.signal })
const first = watch.next()
await client.put("old", "k", { json: { node: process.version } })
await client.put("old", "long", new Uint8Array(100_000))
await client.commit([
  { namespace: "old", key: "x", value: "1" },
  { namespace: "old", key: "y", delete: true }
])
const keys = []
for await (const key of client.keys("old")) keys.push(key)
const { value: change } = await first
stopped.abort()
const said = { ...(await client.get("old", "k")).json(), keys, first: change.key }
await client.close()
console.log(JSON.stringify(said))
