/**
 * What the suites of adapters run on: replicas as processes.
 */
import { type ClientOptions, createClient, type QuorumClient } from "../../src/index.ts"
import * as Replicas from "./replicas.ts"

/** Replicas that run, and a client of them. */
export interface Deployment extends AsyncDisposable {
  readonly client: QuorumClient
  readonly options: ClientOptions
}

/** A way to run them. */
export interface Way {
  readonly name: string
  readonly start: () => Promise<Deployment>
}

const deployment = (replicas: Replicas.Replicas, options: ClientOptions): Deployment => {
  const client = createClient(options)
  return {
    client,
    options,
    [Symbol.asyncDispose]: async () => {
      await client.close()
      await replicas[Symbol.asyncDispose]()
    }
  }
}

/** All of them. */
export const ways: ReadonlyArray<Way> = [
  {
    name: "one replica",
    start: async () => {
      const replicas = await Replicas.start(["a"])
      return deployment(replicas, { urls: replicas.urls })
    }
  }
]
