/**
 * A client of etcd, as a process: one put per write, to the member that leads.
 */
import { Etcd3 } from "etcd3"
import * as Session from "./Session.ts"

/** What this process is told. */
export interface Config {
  readonly hosts: ReadonlyArray<string>
}

const { hosts }: Config = JSON.parse(process.argv[2]!)

/** The member that says of itself that it leads. */
const leader = await Session.eventually(async () => {
  for (const host of hosts) {
    const client = connect(host)
    const { header, leader } = await client.maintenance.status().finally(() => client.close())
    if (header.member_id === leader) return host
  }
  throw new Error("no member leads")
})

Session.serve(async () => {
  const client = connect(leader)
  await client.maintenance.status()
  return {
    write: (key, value) => client.put(key).value(value).exec(),
    fill: (keys, value) =>
      client
        .if(keys[0]!, "Version", "==", 0)
        .then(...keys.map((key) => client.put(key).value(value)))
        .commit(),
    read: (key, consistency) =>
      client
        .get(key)
        .serializable(consistency === "local")
        .buffer(),
    close: () => client.close()
  }
})

function connect(host: string): Etcd3 {
  return new Etcd3({ hosts: [host], grpcOptions: { "grpc.enable_http_proxy": 0 } })
}
