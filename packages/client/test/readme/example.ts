import { createClient, type QuorumClient, QuorumNotMet } from "../../src/index.ts"

const replicas = ["http://127.0.0.1:8001", "http://127.0.0.1:8002", "http://127.0.0.1:8003"]

/** Writes and reads back, whichever replicas are up. */
export const program = async (urls = replicas): Promise<string | undefined> => {
  const quorum = createClient({ urls })
  const receipt = await quorum.put("notes", "greeting", "hello")
  console.log(`${receipt.writeId} is durable on ${receipt.acked.map(({ replica }) => replica).join(" and ")}`)

  await quorum.put("notes", "settings", { json: { theme: "dark" } })
  await quorum.commit([
    { namespace: "accounts", key: "ann", value: { json: { balance: 70 } } },
    { namespace: "accounts", key: "bob", value: { json: { balance: 130 } } }
  ])
  for await (const { key } of quorum.list("notes", { prefix: "s" })) console.log(key)
  return (await quorum.get("notes", "greeting"))?.text()
}

/** A write that asks for all replicas, and what may become of it. */
export const onAll = async (quorum: QuorumClient): Promise<string> => {
  try {
    return (await quorum.put("notes", "k", "v", { w: 3, timeoutMillis: 5000 })).writeId
  } catch (error) {
    // It is durable somewhere. Never write it again: wait for it.
    if (error instanceof QuorumNotMet) return (await quorum.resume(error.writeId)).writeId
    throw error
  }
}
