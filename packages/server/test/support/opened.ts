/** Replicas within the program of a test, which are closed after it, with their folders. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { QuorumError } from "@quorum/client"
import { afterEach, assert, beforeEach } from "@effect/vitest"
import { Effect } from "effect"
import { openReplica, type OpenReplica, type ReplicaOptions } from "../../src/index.ts"
import * as Ports from "./ports.ts"

/** For the tests of a file. */
export const make = () => {
  let folder = ""
  let opened: Array<OpenReplica> = []
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "quorum-open-"))
  })

  afterEach(async () => {
    await Promise.all(opened.map((replica) => replica.close()))
    opened = []
    rmSync(folder, { recursive: true, force: true })
  })

  const open = async (options: Partial<ReplicaOptions> & { readonly id: string }): Promise<OpenReplica> => {
    const replica = await openReplica({
      folder: join(folder, options.id),
      quiet: true,
      ...(options.peers === undefined || options.secret !== undefined ? {} : { insecure: true }),
      ...options
    })
    opened.push(replica)
    return replica
  }

  const peersOf = async () => {
    const ports = await Effect.runPromise(Ports.free(3))
    return { a: `http://127.0.0.1:${ports[0]}`, b: `http://127.0.0.1:${ports[1]}`, c: `http://127.0.0.1:${ports[2]}` }
  }

  const three = async () => {
    const peers = await peersOf()
    const [a, b, c] = await Promise.all([open({ id: "a", peers }), open({ id: "b", peers }), open({ id: "c", peers })])
    await Promise.all([a, b, c].map(takesWrites))
    return { a: a!, b: b!, c: c!, peers }
  }

  const takesWrites = async ({ url }: OpenReplica): Promise<void> => {
    while (!(await fetch(`${url}/readyz`)).ok) await new Promise((resolve) => setTimeout(resolve, 20))
  }

  /** What a promise fails with. */
  const failure = async (promise: Promise<unknown>): Promise<QuorumError & { readonly [field: string]: unknown }> => {
    const error = await promise.then(
      () => undefined,
      (error: unknown) => error
    )
    assert.instanceOf(error, Error)
    return error as never
  }

  /** A replica set of one, which takes writes. */
  const single = async (id = "a"): Promise<OpenReplica> => {
    const replica = await open({ id, port: (await Effect.runPromise(Ports.free(1)))[0]! })
    await takesWrites(replica)
    return replica
  }

  return { failure, folder: () => folder, open, peersOf, single, three }
}
