import { createClient } from "../../src/index.ts"
import { keyvStore } from "../../src/keyv.ts"
import { unstorageDriver } from "../../src/unstorage.ts"

const replicas = ["http://127.0.0.1:8001", "http://127.0.0.1:8002", "http://127.0.0.1:8003"]

/** Stores on one client: for `new Keyv({ store })` and for `createStorage({ driver })`. */
export const stores = (urls = replicas) => {
  const client = createClient({ urls })
  return { store: keyvStore(client, "cache"), driver: unstorageDriver(client, "config") }
}
