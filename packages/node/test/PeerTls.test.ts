/** The files of a replica's TLS: what is taken from them, at the start and while they are used. */
import { execFileSync } from "node:child_process"
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import type { Server } from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect, type TLSSocket } from "node:tls"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { ReplicaSet } from "@quorum/core"
import { Certificates } from "@quorum/testing/node"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as PeerTls from "../src/PeerTls.ts"

const names = "URI:quorum://notes/a"

/** Two authorities, and the files of `a`, which the first of them has signed. */
const pki = Effect.gen(function* () {
  // Certificates begin when they are made.
  yield* TestClock.setTime(Date.now())
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "quorum-tls-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  const [own, other] = ["own", "other"].map((name) => Certificates.authority(join(folder, name))) as [
    Certificates.Authority,
    Certificates.Authority
  ]
  return { folder, own, other, files: { ...own.sign("a", { names }), authority: own.authority } }
})

/** The TLS of `a`, which says what it does in `said`. */
const tls = (options: PeerTls.Options, said: Array<string> = []) =>
  PeerTls.make(options).pipe(
    Effect.provide([
      ReplicaSet.layer({ cluster: "notes", self: "a", members: ["a", "b"] }),
      NodeFileSystem.layer,
      Logger.layer([Logger.make(({ message }) => void said.push(String(message)))])
    ])
  )

/** Lets files be read again and again until it has said something. */
const until = (said: ReadonlyArray<string>, text: string): Effect.Effect<void> =>
  Effect.suspend(() =>
    said.some((line) => line.includes(text))
      ? Effect.void
      : TestClock.adjust(PeerTls.reloadMillis).pipe(
          Effect.andThen(Effect.promise(() => new Promise(setImmediate))),
          Effect.andThen(until(said, text))
        )
  )

describe("the files of TLS", () => {
  it.effect("L40 are refused at the start where none of the authorities has signed the certificate", () =>
    Effect.gen(function* () {
      const { files, folder, other, own } = yield* pki
      const { message } = yield* Effect.flip(tls({ ...files, ...other.sign("a", { names }) }))
      assert.strictEqual(
        message,
        `${join(folder, "other", "a.pem")}: no authority in ${own.authority} has signed it; ` +
          "have one of them sign it, or add the one that did, at all members first"
      )
      appendFileSync(files.authority, readFileSync(other.authority))
      yield* tls({ ...files, ...other.sign("a", { names }) })
    })
  )

  it.effect("are taken where those that come with the certificate lead to an authority, and not without them", () =>
    Effect.gen(function* () {
      const { files, folder } = yield* pki
      const file = (name: string) => join(folder, name)
      const signed = (name: string, by: string, more: ReadonlyArray<string>) =>
        execFileSync(
          "openssl",
          `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -CA ${by}.pem -CAkey ${by}.key -subj /CN=${name}`
            .split(" ")
            .concat(
              more.flatMap((extension) => ["-addext", extension]),
              ["-keyout", file(`${name}.key`), "-out", file(`${name}.pem`)]
            ),
          { stdio: ["ignore", "ignore", "pipe"] }
        )
      signed("between", join(folder, "own", "authority"), ["basicConstraints=critical,CA:TRUE"])
      signed("leaf", file("between"), [`subjectAltName=${names}`, "basicConstraints=critical,CA:FALSE"])
      yield* TestClock.setTime(Date.now())
      const options = { ...files, key: file("leaf.key"), certificate: file("leaf.pem") }
      assert.include((yield* Effect.flip(tls(options))).message, "no authority in")
      appendFileSync(file("leaf.pem"), readFileSync(file("between.pem")))
      yield* tls(options)
    })
  )

  it.effect("L41 are warned of when the certificate ends soon, which may be long after the start, once for each", () =>
    Effect.gen(function* () {
      const { files, own } = yield* pki
      const said: Array<string> = []
      yield* tls(files, said)
      const looks = Effect.repeat(
        Effect.andThen(
          TestClock.adjust(PeerTls.reloadMillis),
          Effect.promise(() => new Promise(setImmediate))
        ),
        { times: 20 }
      )
      const ends = () => said.filter((line) => line.includes("the certificate of this replica ends at")).length
      yield* TestClock.adjust("15 days")
      yield* looks
      assert.strictEqual(ends(), 0)
      yield* TestClock.adjust("1 day")
      yield* until(said, "ends at")
      yield* looks
      assert.strictEqual(ends(), 1)
      // As long as it is valid the same goes for what it is exchanged for.
      own.sign("a", { names })
      yield* until(said, "have changed")
      yield* looks
      assert.strictEqual(ends(), 2)
    })
  )

  it.effect("stay what they were when a certificate of another authority is put in their place", () =>
    Effect.gen(function* () {
      const { files, other, own } = yield* pki
      const said: Array<string> = []
      yield* tls(files, said)
      const foreign = other.sign("a", { names })
      copyFileSync(foreign.key, files.key)
      copyFileSync(foreign.certificate, files.certificate)
      yield* until(said, `stay what they were: ${files.certificate}: no authority in ${own.authority} has signed it`)
      assert.isFalse(said.some((line) => line.includes("count from now on")))
      own.sign("a", { names })
      yield* until(said, "the files of TLS have changed, and count from now on")
    })
  )

  it.effect("L41 end the connections of who is shut out, and tell of one that comes back again once a minute", () =>
    Effect.gen(function* () {
      const { files, folder, own } = yield* pki
      const allowlist = join(folder, "allowlist")
      writeFileSync(allowlist, "")
      const said: Array<string> = []
      const { createServer } = yield* tls({ ...files, allowlist }, said)
      const server = yield* Effect.acquireRelease(
        Effect.callback<Server>((resume) => {
          const made = createServer({}).listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
        }),
        (listening) => Effect.sync(() => listening.close())
      )
      const b = own.sign("b", { names: "URI:quorum://notes/b" })
      const [key, cert] = [readFileSync(b.key), readFileSync(b.certificate)]
      const { port } = server.address() as AddressInfo
      /** Calls, and looks again until that is over: a few times, which is far from a minute. */
      const comesBack = Effect.gen(function* () {
        const socket = yield* Effect.callback<TLSSocket>((resume) => {
          const calling = connect({ host: "127.0.0.1", port, key, cert, rejectUnauthorized: false })
          server.once("secureConnection", () => resume(Effect.succeed(calling)))
          calling.on("error", () => undefined)
        })
        const look = Effect.andThen(
          TestClock.adjust(PeerTls.reloadMillis),
          Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
        )
        yield* Effect.repeat(look, { until: () => socket.closed })
      })
      const ends = () => said.filter((line) => line.includes("connections end: 127.0.0.1 (its certificate is not on"))
      yield* Effect.repeat(comesBack, { times: 2 })
      assert.lengthOf(ends(), 1)
      yield* TestClock.adjust("1 minute")
      yield* comesBack
      assert.lengthOf(ends(), 2)
    })
  )
})
