import { openReplica } from "../../src/index.ts"

/** One of three replicas, within a program: the same program runs on each machine, with its own `id`. */
export const program = async (id: string, peers: Record<string, string>, folder: string, secret: string) => {
  await using replica = await openReplica({ id, peers, folder, secret })
  const receipt = await replica.put("notes", "greeting", "hello")
  const record = await replica.get("notes", "greeting", { consistency: "linearizable" })
  return `${receipt.writeId} is on ${receipt.acked.length} replicas: ${record?.text()}`
}
