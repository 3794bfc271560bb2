/**
 * What the suites of adapters run on: one replica, three that are asked in turn, and three of which one is killed again and
 * again. They are processes.
 */
import { type ClientOptions, createClient, type QuorumClient } from "../../src/index.ts"
import * as Replicas from "./replicas.ts"

/** Replicas that run, and a client of them. */
export interface Deployment extends AsyncDisposable {
  readonly client: QuorumClient
  readonly options: ClientOptions
  /** How many replicas were killed until now. */
  readonly kills: () => number
}

/** A way to run them. */
export interface Way {
  readonly name: string
  readonly start: () => Promise<Deployment>
  /** How many times a suite runs: until replicas were killed while it did. */
  readonly times: number
}

/** After how many requests the replica is killed that is just asked: far more often than every five seconds. */
const killEvery = 40

const deployment = (
  replicas: Replicas.Replicas,
  options: ClientOptions,
  stop: () => Promise<void> = async () => {},
  kills = () => 0
): Deployment => {
  const client = createClient(options)
  return {
    client,
    options,
    kills,
    [Symbol.asyncDispose]: async () => {
      await client.close()
      await stop()
      await replicas[Symbol.asyncDispose]()
    }
  }
}

/** Requests, of which some kill the replica that they ask, unless one is down already. It is started again at once. */
const killing = (replicas: Replicas.Replicas) => {
  let [asked, kills] = [0, 0]
  let restart: Promise<void> | undefined
  const killed = async (id: string): Promise<void> => {
    kills++
    await replicas.kill(id)
    await replicas.start(id)
    await replicas.ready(id)
    restart = undefined
  }
  const ask = (url: string, init: RequestInit): Promise<Response> => {
    const answer = fetch(url, init)
    const i = replicas.urls.findIndex((each) => url.startsWith(each))
    if (++asked % killEvery === 0) restart ??= killed(replicas.ids[i]!)
    return answer
  }
  return { fetch: ask, stop: async () => restart, kills: () => kills }
}

/** All of them. */
export const ways: ReadonlyArray<Way> = [
  {
    name: "one replica",
    times: 1,
    start: async () => {
      const replicas = await Replicas.start(["a"])
      return deployment(replicas, { urls: replicas.urls })
    }
  },
  {
    name: "three replicas that are asked in turn",
    times: 1,
    start: async () => {
      const replicas = await Replicas.start()
      let turn = 0
      // As a load balancer would: what was written at one replica is read at another.
      const inTurn = (url: string, init: RequestInit): Promise<Response> =>
        fetch(url.replace(replicas.urls[0]!, replicas.urls[turn++ % replicas.urls.length]!), init)
      return deployment(replicas, { urls: [replicas.urls[0]!], fetch: inTurn })
    }
  },
  {
    name: "three replicas of which one is killed again and again",
    times: 2,
    start: async () => {
      const replicas = await Replicas.start()
      const { fetch, kills, stop } = killing(replicas)
      return deployment(replicas, { urls: replicas.urls, fetch }, stop, kills)
    }
  }
]
