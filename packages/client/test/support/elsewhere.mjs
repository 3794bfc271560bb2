// What a program does with the built client, wherever it runs: without types, and without anything of one runtime alone.
import { createClient } from "../../dist/index.js"

const namespace = "elsewhere"

/** Its calls, one by one. */
const calls = async (client) => {
  const stopped = new AbortController()
  const watch = client.watch(namespace, { signal: stopped.signal })
  const first = watch.next()
  await client.put(namespace, "k", { json: { written: true } })
  await client.put(namespace, "long", new Uint8Array(100_000))
  await client.commit([
    { namespace, key: "x", value: "1" },
    { namespace, key: "y", delete: true }
  ])
  const batched = await client.batch([
    { namespace, key: "ü/ ?#%", value: "é" },
    { namespace, key: "x", value: "2" }
  ])
  const { value: change } = await first
  stopped.abort()
  const keys = []
  for await (const key of client.keys(namespace)) keys.push(key)
  const enough = AbortSignal.abort(new Error("enough"))
  return {
    first: change.key,
    keys,
    batched: batched.map(({ ok }) => ok),
    aborted: await client.get(namespace, "k", { signal: enough }).catch(({ message }) => message),
    refused: await client.put(namespace, "", "v").catch(({ code }) => code),
    json: (await client.get(namespace, "k")).json(),
    long: (await client.get(namespace, "long")).bytes.length,
    text: (await client.get(namespace, "ü/ ?#%")).text(),
    none: (await client.get(namespace, "y")) ?? null
  }
}

/** Writes and reads one after the other while a replica is killed, until somebody has written that it was. */
const through = async (client) => {
  const wrong = []
  for (let i = 1; (await client.get(namespace, "killed")) === undefined; i++) {
    await client.put(namespace, "own", `${i}`)
    const read = (await client.get(namespace, "own"))?.text()
    if (read !== `${i}`) wrong.push([i, read])
  }
  return { wrong }
}

/** Does both at replicas, of which the first does not answer. */
export const program = async (urls) => {
  const client = createClient({ urls })
  const said = { ...(await calls(client)), ...(await through(client)) }
  await client.close()
  return said
}
