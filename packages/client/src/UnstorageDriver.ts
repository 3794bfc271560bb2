/**
 * A driver for unstorage: `createStorage({ driver: unstorageDriver(client, "config") })`.
 */
import type { QuorumClient } from "./Client.ts"
import type { Value } from "./Value.ts"

/** A driver of unstorage 1. */
export interface UnstorageDriver {
  readonly name: "quorum"
  readonly options: { readonly namespace: string }
  readonly hasItem: (key: string) => Promise<boolean>
  /** The text of a record, which unstorage reads as what it was. */
  readonly getItem: (key: string) => Promise<string | null>
  /** The bytes of a record. */
  readonly getItemRaw: (key: string) => Promise<Uint8Array | null>
  readonly setItem: (key: string, value: string) => Promise<void>
  readonly setItemRaw: (key: string, value: Value) => Promise<void>
  readonly setItems: (items: ReadonlyArray<{ readonly key: string; readonly value: string }>) => Promise<void>
  readonly removeItem: (key: string) => Promise<void>
  readonly getKeys: (base?: string) => Promise<Array<string>>
  /** What is known of a record beside its value. */
  readonly getMeta: (key: string) => Promise<{ readonly writeId: string; readonly size: number } | null>
  /** Deletes what is there, one by one. */
  readonly clear: (base?: string) => Promise<void>
  /** Closes the client. */
  readonly dispose: () => Promise<void>
}

/** A driver whose items are the records of a namespace of Quorum. */
export const unstorageDriver = (client: QuorumClient, namespace: string): UnstorageDriver => {
  const put = async (key: string, value: Value): Promise<void> => {
    await client.put(namespace, key, value)
  }
  const getKeys = async (base = ""): Promise<Array<string>> => {
    const keys: Array<string> = []
    for await (const key of client.keys(namespace, base === "" ? {} : { prefix: base })) keys.push(key)
    return keys
  }
  return {
    name: "quorum",
    options: { namespace },
    hasItem: async (key) => (await client.get(namespace, key)) !== undefined,
    getItem: async (key) => (await client.get(namespace, key))?.text() ?? null,
    getItemRaw: async (key) => (await client.get(namespace, key))?.bytes ?? null,
    setItem: put,
    setItemRaw: put,
    setItems: async (items) => void (await Promise.all(items.map(({ key, value }) => put(key, value)))),
    removeItem: async (key) => void (await client.delete(namespace, key)),
    getKeys,
    getMeta: async (key) => {
      const record = await client.get(namespace, key)
      return record === undefined ? null : { writeId: record.writeId, size: record.bytes.length }
    },
    clear: async (base) => {
      const keys = await getKeys(base)
      await Promise.all(keys.map((key) => client.delete(namespace, key)))
    },
    dispose: () => client.close()
  }
}
