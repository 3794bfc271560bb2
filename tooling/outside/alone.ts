// A user of @quorum/client who has nothing else: no Effect, which only one of its entry points needs.
import { createClient, QuorumError } from "@quorum/client"
import { keyvStore } from "@quorum/client/keyv"

const client = createClient({ urls: ["http://127.0.0.1:23439"], timeoutMillis: 200 })
const error = await keyvStore(client, "cache")
  .get("k")
  .catch((error: unknown) => error)
await client.close()
// By a name that the compiler does not follow: it would look for effect as well.
const entry: string = "@quorum/client/effect"
const effect = await import(entry).then(
  () => "is there",
  ({ code, message }) => `${code}: ${message}`
)
if (!(error instanceof QuorumError) || !/^ERR_MODULE_NOT_FOUND: .*'effect'/.test(effect)) {
  throw new Error(`${String(error)}; effect: ${effect}`)
}
console.log(`nobody is asked, and it says so: ${error.code}; there is no effect`)
