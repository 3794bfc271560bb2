import { createClient } from "../../src/index.ts"
import { keyvStore } from "../../src/keyv.ts"
import { unstorageDriver } from "../../src/unstorage.ts"

const client = createClient({ urls: ["http://127.0.0.1:8001", "http://127.0.0.1:8002", "http://127.0.0.1:8003"] })

/** `new Keyv({ store })` */
export const store = keyvStore(client, "cache")

/** `createStorage({ driver })` */
export const driver = unstorageDriver(client, "config")
