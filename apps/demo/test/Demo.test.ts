import { assert, describe, it } from "@effect/vitest"
import { X509Certificate } from "node:crypto"
import { createServer } from "node:net"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { NodeServices } from "@effect/platform-node"
import { HybridLogicalClock } from "@quorum/core"
import * as Ports from "../../../packages/server/test/support/ports.ts"
import { Effect, FileSystem, Schema } from "effect"
import * as Report from "../src/Report.ts"
import * as Program from "./support/program.ts"

const minutes = { timeout: 120_000 }
const fixture = fileURLToPath(new URL("../../../packages/server/test/fixtures/bad-lines.jsonl", import.meta.url))
const tempFolder = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped())

const readReport = Effect.fnUntraced(function* (path: string) {
  const fs = yield* FileSystem.FileSystem
  return yield* Schema.decodeUnknownEffect(Report.Report)(JSON.parse(yield* fs.readFileString(path)))
})

describe("the demo, as a process", () => {
  it.live(
    "imports, kills, recovers, compares, reports, and leaves nothing behind",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* tempFolder
        const tmp = yield* tempFolder
        const program = yield* Program.run(["--limit", "300", "--writers", "64", "--report", "report.json"], {
          cwd: folder,
          tmp
        })
        yield* program.wrote("3 replicas run")
        const children = new Set(program.children())
        assert.strictEqual(children.size, 3)
        yield* program.wrote("Comparing")
        for (const pid of program.children()) children.add(pid)
        assert.strictEqual(children.size, 5, "two were started again")
        assert.strictEqual(yield* program.ended, 0, program.output())

        const report = yield* readReport(join(folder, "report.json"))
        assert.isTrue(report.ok)
        assert.deepStrictEqual(report.problems, [])
        assert.deepStrictEqual(
          { n: report.n, w: report.w, lines: report.lines, accepted: report.accepted, committed: report.committed },
          { n: 3, w: 2, lines: 300, accepted: 300, committed: 300 }
        )
        assert.isTrue(report.converged)
        assert.deepStrictEqual(Object.keys(report.digests), ["a", "b", "c"])
        assert.strictEqual(new Set(Object.values(report.digests)).size, 1)
        // 300 lines, what was read back, what was written while one stood still, what asked for all, and the key of a wrong
        // clock; not what nobody could stamp.
        assert.strictEqual(report.shortage?.answer, "Unavailable")
        assert.deepStrictEqual(report.records, { a: 1303, b: 1303, c: 1303 })
        assert.strictEqual(report.killed.length, 2)
        assert.strictEqual(new Set(report.killed).size, 2)
        assert.isAbove(report.inFlightAtKill, 0)
        assert.isAbove(report.kills[0]!.inFlightHere, 0)
        assert.isAtLeast(report.kills[0]!.afterWrites, 150 - 30)
        assert.isBelow(report.kills[0]!.afterWrites, 300)
        const apart = report.apart!
        assert.strictEqual(apart.lag, 1000)
        assert.strictEqual(apart.held[apart.writer]! - apart.held[apart.stopped]!, 1000)
        assert.isAtLeast(apart.sameAfterMs!, apart.wentOnAfterMs)
        const notMet = report.quorumNotMet!
        assert.deepStrictEqual(
          { got: notMet.got, needed: notMet.needed, reason: notMet.reason },
          { got: 2, needed: 3, reason: "timeout" }
        )
        assert.deepStrictEqual(Object.keys(notMet.verdicts).toSorted(), ["a", "b", "c"])
        assert.isAbove(notMet.afterMs, 1900)
        assert.isBelow(notMet.afterMs, 10_000)
        assert.strictEqual(notMet.receipt!.writeId, notMet.writeId)
        assert.deepStrictEqual(notMet.receipt!.acked.map(({ replica }) => `${replica}`).toSorted(), ["a", "b", "c"])
        assert.isAbove(notMet.committedAfterMs!, notMet.afterMs)

        const { first, heldMs, second, shiftMs, shown } = report.wrongClock!
        assert.strictEqual(shiftMs, -3_600_000)
        assert.isBelow(heldMs!, -3_500_000)
        assert.isBelow(Date.parse(second.localTime), Date.parse(first.localTime) - 3_500_000)
        assert.isAbove(HybridLogicalClock.compare(second.clock, first.clock), 0)
        assert.deepStrictEqual(shown, { a: "second", b: "second", c: "second" })
        assert.isAtLeast(report.notMet, 1)
        assert.isAbove(report.caughtUpMs!, 0)
        for (const { rssMb } of report.replicas) if (rssMb !== null) assert.isBelow(rssMb, 250)

        assert.include(program.output(), "All 300 acknowledged writes are on all 3 replicas, byte for byte.")
        assert.deepStrictEqual(Array.from(children).filter(Program.runs), [])
        assert.deepStrictEqual(yield* fs.readDirectory(tmp), [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    minutes
  )

  it.live.each(["ws", "http"] as const)(
    "L41 holds over mutual TLS and %s, all certificates exchanged under writes, and lets nobody in with another",
    (transport) =>
      Effect.gen(function* () {
        const folder = yield* tempFolder
        const flags = ["--tls", "--transport", transport, "--limit", "300", "--writers", "64", "--dir", "files"]
        const program = yield* Program.run([...flags, "--report", "report.json"], { cwd: folder })
        assert.strictEqual(yield* program.ended, 0, program.output())
        const { committed, digests, problems, renewal, replicas } = yield* readReport(join(folder, "report.json"))
        assert.deepStrictEqual(problems, [])
        assert.strictEqual(committed, 300)
        assert.strictEqual(new Set(Object.values(digests)).size, 1)
        for (const { url } of replicas) assert.isTrue(url.startsWith("https://"), url)

        const { fingerprints, records, refused } = renewal!
        assert.isAbove(records, 100)
        assert.deepStrictEqual(Object.keys(fingerprints), ["a", "b", "c"])
        assert.strictEqual(new Set(Object.values(fingerprints).flatMap((prints) => Object.values(prints))).size, 6)
        assert.deepStrictEqual(
          refused.map(({ at, shown }) => `${at}: ${shown}`),
          ["a b", "b c", "c a"].flatMap((pair) => [
            `${pair[0]}: no certificate`,
            `${pair[0]}: the certificate of ${pair[2]} that has expired`,
            `${pair[0]}: the former certificate of ${pair[2]}`
          ])
        )
        // What is on the disk is what the last ones were.
        for (const id of ["a", "b", "c"]) {
          const fs = yield* FileSystem.FileSystem
          const { fingerprint256 } = new X509Certificate(
            yield* fs.readFileString(join(folder, `files/certificates/${id}.pem`))
          )
          assert.strictEqual(fingerprint256, fingerprints[id]!.current)
        }
        assert.isFalse(yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.exists(join(folder, "files/secret"))))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    minutes
  )

  it.live(
    "says that it needs openssl where there is none",
    () =>
      Effect.gen(function* () {
        const program = yield* Program.run(["--tls"], { env: { PATH: "/nowhere" } })
        assert.strictEqual(yield* program.ended, 1)
        assert.include(program.output(), "--tls: certificates cannot be made by openssl")
        assert.notInclude(program.output(), "replicas run: ")
      }).pipe(Effect.scoped),
    minutes
  )

  it.live(
    "takes a file with bad lines, a set of five, the other transport and the other store, and stays until Ctrl-C when told to",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* tempFolder
        const [port] = yield* Ports.free(5)
        const input = relative(folder, fixture)
        const flags = [
          "--input",
          input,
          "--report",
          "report.json",
          "--replicas",
          "5",
          "--dir",
          "files",
          "--keep",
          "--transport",
          "http",
          "--store",
          "lmdb"
        ]
        const program = yield* Program.run([...flags, "--port", String(port)], { cwd: folder })
        yield* program.wrote("until Ctrl-C")

        const report = yield* readReport(join(folder, "report.json"))
        assert.deepStrictEqual(report.problems, [])
        assert.deepStrictEqual(
          report.rejected.map(({ line }) => line),
          [3, 4, 5, 6, 7, 9, 11]
        )
        assert.isTrue(report.rejected.every(({ reason }) => reason.length > 0))
        assert.deepStrictEqual(
          { n: report.n, w: report.w, lines: report.lines, accepted: report.accepted, committed: report.committed },
          { n: 5, w: 3, lines: 11, accepted: 4, committed: 4 }
        )
        assert.strictEqual(report.killed.length, 3)
        assert.deepStrictEqual(
          report.replicas.map(({ url }) => url),
          Array.from({ length: 5 }, (_, i) => `http://127.0.0.1:${port! + i}`)
        )

        const [first, last] = [report.replicas[0]!, report.replicas[4]!]
        const body = '{"hello":"world"}'
        const put = yield* Effect.promise(() => fetch(`${first.url}/v1/records/n/k`, { method: "PUT", body }))
        assert.strictEqual(put.status, 201)
        const { writeId } = (yield* Effect.promise(() => put.json())) as { writeId: string }
        const get = yield* Effect.promise(() => fetch(`${last.url}/v1/records/n/k?atLeast=${writeId}`))
        assert.strictEqual(yield* Effect.promise(() => get.text()), body)

        const children = program.children()
        assert.strictEqual(children.length, 5)
        yield* program.signal("SIGINT")
        assert.strictEqual(yield* program.ended, 0, program.output())
        assert.deepStrictEqual(children.filter(Program.runs), [])
        assert.deepStrictEqual((yield* fs.readDirectory(join(folder, "files"))).toSorted(), [
          "a",
          "b",
          "c",
          "d",
          "e",
          "secret"
        ])
        for (const name of ["replica.log", "log.mdb"]) {
          assert.isTrue(yield* fs.exists(join(folder, "files/a", name)), name)
        }
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    minutes
  )

  it.live(
    "fails with the reason when there is nothing to show",
    () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* tempFolder
        yield* fs.writeFileString(join(folder, "empty.jsonl"), "\n\n")
        const program = yield* Program.run(["--input", "empty.jsonl", "--report", "report.json"], { cwd: folder })
        assert.strictEqual(yield* program.ended, 1)
        const report = yield* readReport(join(folder, "report.json"))
        assert.isFalse(report.ok)
        assert.deepStrictEqual(report.problems, [
          "no line asked for a write, so there was nothing to import",
          "no write was in flight when the first replica was killed"
        ])
        for (const problem of report.problems) assert.include(program.output(), problem)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    minutes
  )

  it.live(
    "L68 stops in order in the middle of a run on SIGINT, on SIGTERM and when its output is closed; on SIGKILL its replicas end by themselves",
    () =>
      Effect.forEach(
        ["SIGINT", "SIGTERM", "SIGKILL", "closed output"] as const,
        (how) =>
          Effect.gen(function* () {
            const fs = yield* FileSystem.FileSystem
            const tmp = yield* tempFolder
            const program = yield* Program.run([], { tmp })
            yield* program.wrote("  import ")
            const children = program.children()
            assert.isAtLeast(children.length, 2)
            yield* how === "closed output" ? program.stopReading : program.signal(how)
            assert.strictEqual(yield* program.ended, how === "SIGKILL" ? "SIGKILL" : 0)
            if (how === "SIGKILL") return yield* Program.until(() => !children.some(Program.runs))
            if (how !== "closed output") {
              const [, ...lines] = program.output().split("Stopped, and the replicas")
              assert.deepStrictEqual(lines, ["\n"], program.output())
            }
            assert.deepStrictEqual(children.filter(Program.runs), [])
            assert.deepStrictEqual(yield* fs.readDirectory(tmp), [])
          }),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    minutes
  )

  it.live(
    "says which port is in use, and starts nothing",
    () =>
      Effect.gen(function* () {
        const tmp = yield* tempFolder
        const fs = yield* FileSystem.FileSystem
        const [port, taken] = yield* Ports.free(3)
        yield* Effect.acquireRelease(
          Effect.callback<ReturnType<typeof createServer>>((resume) => {
            const server = createServer()
            server.listen(taken, Ports.host, () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.sync(() => void server.close())
        )
        const program = yield* Program.run(["--port", String(port)], { tmp })
        assert.strictEqual(yield* program.ended, 1)
        assert.include(program.output(), `port ${taken} of 127.0.0.1 is in use`)
        assert.notInclude(program.output(), "replicas run: ")
        assert.deepStrictEqual(yield* fs.readDirectory(tmp), [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    minutes
  )

  it.live(
    "explains every flag",
    () =>
      Effect.gen(function* () {
        const program = yield* Program.run(["--help"])
        assert.strictEqual(yield* program.ended, 0)
        for (const flag of [
          "input",
          "limit",
          "report",
          "dir",
          "port",
          "replicas",
          "transport",
          "tls",
          "writers",
          "keep",
          "verbose"
        ]) {
          assert.match(program.output(), new RegExp(`--${flag}\\b.*[a-z]{3}`))
        }
      }).pipe(Effect.scoped),
    minutes
  )

  const unusable: ReadonlyArray<readonly [flags: ReadonlyArray<string>, said: string]> = [
    [["--input", "nowhere.jsonl"], "there is no nowhere.jsonl"],
    [["--input", "."], ". is not a file"],
    [["--report", "nowhere/report.json"], "nowhere/report.json cannot be written"],
    [["--limit", "0"], "--limit"],
    [["--replicas", "2"], "--replicas"],
    [["--replicas", "3.0"], "--replicas"],
    [["--limit", "1e2"], "--limit"],
    [["--port", "0x10"], "--port"],
    [["--writers", " 1"], "--writers"],
    [["--what"], "--what"]
  ]
  it.live(
    "says what is wrong with a flag before it starts anything",
    () =>
      Effect.forEach(
        unusable,
        ([flags, said]) =>
          Effect.gen(function* () {
            const program = yield* Program.run(flags)
            assert.strictEqual(yield* program.ended, 1)
            assert.include(program.output(), said)
            assert.notInclude(program.output(), "replicas run: ")
            assert.notMatch(program.output(), /\n {4}at /)
          }),
        { concurrency: 3, discard: true }
      ).pipe(Effect.scoped),
    minutes
  )
})
