/** Three replicas, each a `quorum serve` of its own. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import * as Ports from "./ports.ts"
import * as Program from "./program.ts"

/** The members of a replica set of three, none of which runs. */
export const make = Effect.gen(function* () {
  const folder = yield* Program.folder
  const ports = yield* Ports.free(3)
  const urls = { a: url(ports[0]!), b: url(ports[1]!), c: url(ports[2]!) }
  const peers = Object.entries(urls)
    .map(([id, url]) => `${id}=${url}`)
    .join(",")
  const secret = join(folder, "secret")
  writeFileSync(secret, "the secret of these three, which has 32 bytes or more", { mode: 0o600 })
  const flags = (id: keyof typeof urls) => {
    const data = join(folder, id)
    return ["serve", "--id", id, "--peers", peers, "--data", data, "--secret-file", secret]
  }
  const start = Effect.fnUntraced(function* (
    id: keyof typeof urls,
    more: ReadonlyArray<string> = [],
    options?: Program.Options
  ) {
    const replica = yield* Program.run([...flags(id), ...more], options)
    yield* replica.wrote(urls[id])
    return replica
  })
  return { folder, secret, urls, peers, flags, start }
})

/** Waits until a write could be committed at each. */
export const ready = (urls: ReadonlyArray<string>) =>
  Effect.forEach(urls, (url) =>
    Effect.promise(() =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false
      )
    ).pipe(
      Effect.tap((ok) => (ok ? Effect.void : Effect.sleep(50))),
      Effect.repeat({ until: (ok) => ok })
    )
  )

/** Waits until each reaches all others. */
export const together = (urls: ReadonlyArray<string>) =>
  Effect.forEach(urls, (url) =>
    Effect.promise(async () => {
      const { peers } = (await (await fetch(`${url}/v1/status`)).json()) as {
        readonly peers: ReadonlyArray<{ readonly link: string }>
      }
      return peers.every(({ link }) => link === "up")
    }).pipe(
      Effect.tap((up) => (up ? Effect.void : Effect.sleep(50))),
      Effect.repeat({ until: (up) => up })
    )
  )

// ---------------------------------------------------------------------------------------------------------------------

const url = (port: number): string => `http://${Ports.host}:${port}`
