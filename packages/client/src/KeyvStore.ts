/**
 * A store for Keyv: `new Keyv({ store: keyvStore(client, "cache") })`.
 *
 * Keyv keeps when a value expires with the value, so a time to live is Keyv's: what has expired is deleted when it is read.
 * Two calls are no transaction: `delete` says whether there was a value a moment before.
 */
import type { QuorumClient } from "./Client.ts"
import { InvalidRequest } from "./QuorumError.ts"
import type { QuorumRecord } from "./Record.ts"
import type { Value } from "./Value.ts"

/** A store of Keyv 5. Its errors are those of the client, thrown by the call that meets them; it has no others to tell. */
export interface KeyvStore {
  /** Keyv's own namespace: the keys begin with it and a colon. Keyv sets it. */
  namespace: string | undefined
  readonly opts: typeof opts
  readonly get: <A>(key: string) => Promise<A | undefined>
  readonly getMany: <A>(keys: Array<string>) => Promise<Array<A | undefined>>
  readonly set: (key: string, value: unknown) => Promise<void>
  readonly setMany: (entries: Array<{ readonly key: string; readonly value: unknown }>) => Promise<void>
  readonly delete: (key: string) => Promise<boolean>
  readonly deleteMany: (keys: Array<string>) => Promise<boolean>
  readonly has: (key: string) => Promise<boolean>
  readonly hasMany: (keys: Array<string>) => Promise<Array<boolean>>
  /** Deletes what the namespace has, one by one. */
  readonly clear: () => Promise<void>
  readonly iterator: <A>(namespace?: string) => AsyncGenerator<[string, A], void>
  /** Closes the client. */
  readonly disconnect: () => Promise<void>
}

/** A store whose records are those of a namespace of Quorum. */
export const keyvStore = (client: QuorumClient, namespace: string): KeyvStore => {
  const get = async <A>(key: string): Promise<A | undefined> => {
    const record = await client.get(namespace, key)
    return record === undefined ? undefined : valueOf<A>(record)
  }
  const has = async (key: string): Promise<boolean> => (await client.get(namespace, key)) !== undefined
  const remove = async (key: string): Promise<boolean> => {
    const was = await has(key)
    if (was) await client.delete(namespace, key)
    return was
  }
  const set = async (key: string, value: unknown): Promise<void> => {
    await client.put(namespace, key, asValue(value))
  }
  const store: KeyvStore = {
    namespace: undefined,
    opts,
    get,
    getMany: <A>(keys: Array<string>) => Promise.all(keys.map((key) => get<A>(key))),
    set,
    setMany: async (entries) => void (await Promise.all(entries.map(({ key, value }) => set(key, value)))),
    delete: remove,
    deleteMany: async (keys) => (await Promise.all(keys.map(remove))).every(Boolean),
    has,
    hasMany: (keys) => Promise.all(keys.map(has)),
    clear: async () => {
      const keys: Array<string> = []
      for await (const key of client.keys(namespace, prefixOf(store.namespace))) keys.push(key)
      await Promise.all(keys.map((key) => client.delete(namespace, key)))
    },
    iterator: async function* <A>(within?: string): AsyncGenerator<[string, A], void> {
      for await (const record of client.list(namespace, prefixOf(within))) yield [record.key, valueOf<A>(record)]
    },
    disconnect: () => client.close()
  }
  return store
}

// ---------------------------------------------------------------------------------------------------------------------

/** Keyv has an iterator only for stores that it knows by a name, and asks nothing else of the name. */
const opts = { dialect: "etcd", url: "" } as const

const prefixOf = (namespace: string | undefined) =>
  namespace === undefined || namespace === "" ? {} : { prefix: `${namespace}:` }

/** What Keyv serializes is text; what it is told not to serialize is bytes, or what JSON can say. */
const asValue = (value: unknown): Value => {
  if (typeof value === "string" || value instanceof Uint8Array || value instanceof ArrayBuffer) return value
  if (value === undefined) {
    const detail = "there is none"
    throw new InvalidRequest({ message: `invalid request, value: ${detail}`, field: "value", detail })
  }
  return { json: value }
}

const valueOf = <A>(record: QuorumRecord): A => {
  if (record.contentType === undefined) return record.bytes as A
  return record.contentType === "application/json" ? record.json<A>() : (record.text() as A)
}
