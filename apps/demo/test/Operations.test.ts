/**
 * Faults of real processes, as the metrics of a real replica set show them, and the commands of docs/operations.md, run
 * where they are of use.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Definitions } from "@quorum/metrics"
import { Effect } from "effect"
import type { Series } from "../src/Metrics.ts"
import * as Set from "./support/set.ts"

const timeout = 120_000

const name = Definitions.prometheus

/** A series of a peer. */
const of = (series: Series, key: Definitions.Key, peer: Set.Id): number =>
  series.get(`${name(key)}{quorum_peer="${peer}"}`) ?? Number.NaN

const labelled = (series: Series, key: Definitions.Key, labels: string): number =>
  series.get(`${name(key)}{${labels}}`) ?? Number.NaN

/** Starts all, beside each other, and waits until one reaches the others. */
const together = Effect.fnUntraced(function* (set: Effect.Success<ReturnType<typeof Set.make>>) {
  yield* Effect.forEach(["a", "b", "c"] as const, (id) => set.start(id), { concurrency: "unbounded" })
  yield* set.until("a", (series) => of(series, "peerUp", "b") + of(series, "peerUp", "c") === 2)
})

const three = Effect.gen(function* () {
  const set = yield* Set.make("clock")
  yield* together(set)
  return set
})

describe("faults of real processes show in the metrics", () => {
  const faked = Set.ahead(20)
  it.live.skipIf(faked === undefined)(
    "a clock that is ahead (skipped where Debian's `faketime` is not installed)",
    () =>
      Effect.gen(function* () {
        const set = yield* Set.make("clock")
        yield* Effect.all([set.start("a"), set.start("b"), set.start("c", { env: faked! })], {
          concurrency: "unbounded"
        })
        const series = yield* set.until("a", (series) => of(series, "peerSkew", "c") > 1)
        // It is measured to half the time of an exchange, which a busy machine makes long.
        assert.closeTo(of(series, "peerSkew", "c"), 20, 5)
        assert.closeTo(of(series, "peerSkew", "b"), 0, 5)
        const bucket = (le: string) => series.get(`${name("clockSkew")}_bucket{peer="c",le="${le}"}`)
        assert.strictEqual(bucket("10"), 0)
        assert.isAbove(bucket("30")!, 0)
      }),
    timeout
  )

  it.live(
    "a disk that is full, until there is room again (skipped where none can be mounted)",
    (context) =>
      Effect.gen(function* () {
        const set = yield* Set.make("clock")
        if (!(yield* Set.smallDisk(set.folders.a, 8))) return context.skip()
        yield* together(set)
        assert.strictEqual(yield* set.put("a", "before", "value"), 201)
        const filler = join(set.folders.a, "filler")
        const { bavail, bsize } = statfsSync(set.folders.a)
        writeFileSync(filler, new Uint8Array(bavail * bsize))
        const large = "x".repeat(200_000)
        const low = yield* set.until("a", (series) => series.get(name("putsRefused")) === 1)
        assert.strictEqual(low.get(name("storeReserve")), (8 * 1024 * 1024) / 16)
        assert.isBelow(low.get(name("diskFree"))! / low.get(name("diskSize"))!, 0.1)
        assert.strictEqual(yield* set.put("a", "large", large), 507)
        // What its peers bring is kept room for, until that is used up too.
        const filled = Effect.andThen(
          set.put("b", "large", large),
          set.until("a", () => true)
        )
        const isFull = (series: Series) => labelled(series, "storeFault", 'error_type="disk_full"') === 1
        const full = yield* Effect.repeat(filled, { until: isFull })
        assert.isAbove(labelled(full, "appendFailures", 'error_type="disk_full"'), 0)
        assert.isAbove(labelled(full, "commits", 'quorum_outcome="disk_low"'), 0)
        rmSync(filler)
        yield* set.until("a", (series) => series.get(name("putsRefused")) === 0)
        assert.strictEqual(yield* set.put("a", "after", "value"), 201)
        const again = yield* set.until("a", () => true)
        assert.strictEqual(labelled(again, "storeFault", 'error_type="disk_full"'), 0)
      }),
    timeout
  )

  it.live(
    "a peer that does not answer for a while: what is on its way to it, and the last ack",
    () =>
      Effect.gen(function* () {
        const set = yield* three
        const lastAcks = (series: Series) => series.get(`${name("lastAckDuration")}_count`) ?? Number.NaN
        yield* set.put("a", "before", "value")
        yield* set.until("a", (series) => lastAcks(series) === 1)
        yield* set.signal("c", "SIGSTOP")
        assert.strictEqual(yield* set.put("a", "while c stands still", "x".repeat(1_000_000)), 201)
        const slow = yield* set.until("a", (series) => of(series, "peerPushes", "c") > 0)
        assert.isAtMost(of(slow, "peerPushes", "c"), slow.get(name("peerPushesLimit"))!)
        assert.isAbove(of(slow, "peerPushSize", "c"), 1_000_000)
        assert.isAbove(of(slow, "peerLag", "c"), 0)
        assert.strictEqual(lastAcks(slow), 1)
        yield* set.signal("c", "SIGCONT")
        const again = yield* set.until("a", (series) => lastAcks(series) === 2)
        assert.strictEqual(of(again, "peerLag", "c"), 0)
        yield* set.until("a", (series) => of(series, "peerPushes", "c") + of(series, "peerPushSize", "c") === 0)
      }),
    timeout
  )
})

const operations = readFileSync(new URL("../../../docs/operations.md", import.meta.url), "utf8")

/** The commands under a heading that are for an operator's shell on a replica's machine. */
const commandsUnder = (heading: string): ReadonlyArray<string> => {
  const text = operations.split(/^#{2,3} /m).find((section) => section.startsWith(`${heading}\n`)) ?? ""
  const blocks = Array.from(text.matchAll(/```sh\n([^]*?)```/g), ([, block]) => block!.trim().split("\n")).flat()
  const spans = Array.from(text.matchAll(/`([^`\n]+)`/g), ([, span]) => span!)
  return [...blocks, ...spans].filter((command) => /^(curl|df|du|fuser|mv) /.test(command))
}

/** Whether a command changes nothing. */
const isLook = (command: string): boolean => !command.startsWith("mv ")

const tools = ["curl", "jq", "df", "du", "fuser"]
const lacking = tools.filter((program) => spawnSync(program, ["--version"]).error !== undefined)

describe("docs/operations.md", () => {
  it.live.skipIf(lacking.length > 0)(
    `its commands show what it says, and its remedies help (skipped without ${tools.join(", ")})`,
    () =>
      Effect.gen(function* () {
        const set = yield* three
        const env = { R: set.urls.a, FOLDER: set.folders.a }
        const run = (heading: string) =>
          Effect.forEach(commandsUnder(heading).filter(isLook), (command) =>
            Effect.tap(Set.shell(command, env), ({ code, output }) =>
              Effect.sync(() => assert.strictEqual(code, 0, `${command}\n${output}`))
            )
          )
        /** What the commands under a heading print, which is something. */
        const shows = (heading: string) =>
          Effect.map(run(heading), (ran) => {
            assert.isNotEmpty(ran, heading)
            for (const { output } of ran) assert.notStrictEqual(output.trim(), "", heading)
            return ran.map(({ output }) => output).join("")
          })
        const status = (id: Set.Id, path: string) =>
          Effect.promise(() => fetch(`${set.urls[id]}${path}`).then(({ status }) => status))

        yield* set.put("a", "k", "value")
        const first = yield* shows("First look")
        assert.include(first, '"recovered": true')
        assert.include(first, 'quorum_peer_up{quorum_peer="c"} 1')
        assert.strictEqual((yield* run("QuorumDrift")).map(({ output }) => output).join(""), "")
        assert.include(yield* shows("QuorumDamage"), "[]")
        assert.include(yield* shows("QuorumStoreFault"), "log.db")
        assert.strictEqual((yield* shows("QuorumDiskStalled")).trim(), "0")
        assert.include(yield* shows("QuorumScrubFails"), '{"storeFault":null,"scrub":{"last":')
        assert.include(yield* shows("QuorumScrubLate"), '"current":')
        assert.match(yield* shows("QuorumDeletesKept"), /^\[/)
        assert.include(yield* shows("QuorumPeerRejects"), '"valueBytes":1048576')
        yield* shows("QuorumDiskLow")
        assert.include(yield* shows("QuorumNotVoting"), '"voting": true')
        assert.strictEqual((yield* shows("QuorumClockHeld")).trim(), "0")
        assert.include(yield* shows("QuorumCommitsFailing"), "quorum_writes_waiting 0")
        const lagging = yield* shows("QuorumPeerLagging")
        assert.include(lagging, 'quorum_peer_pushes_in_flight{quorum_peer="c"} 0')
        assert.include(lagging, 'quorum_append_sync_duration_seconds_count{quorum_log="own"} 1')
        assert.include(yield* shows("QuorumClockSkew"), 'quorum_peer="c"')
        // Two acks of three are awaited; the third is told when it comes.
        assert.include(yield* shows("QuorumCommitsSlow"), "quorum_peer_ack_duration_seconds_count")
        assert.include(yield* shows("QuorumAppendsSlow"), 'quorum_append_duration_seconds_count{quorum_log="own"} 1')
        assert.include(yield* shows("QuorumIndexBehind"), "quorum_index_waiting")
        assert.include(yield* shows("QuorumEventLoopLate"), "nodejs_eventloop_delay_p99_seconds")

        // A peer is down: who and why, and it is enough to start it.
        yield* set.stop("c")
        yield* set.until("a", (series) => of(series, "peerUp", "c") === 0)
        assert.match(yield* shows("QuorumPeerDown"), /^c: /)
        yield* set.put("a", "while c is away", "value")
        assert.strictEqual(yield* status("a", "/readyz"), 200)

        // Too few: the same of both, and readyz says when it is over.
        yield* set.stop("b")
        yield* set.until("a", (series) => of(series, "peerUp", "b") === 0)
        assert.match(yield* shows("QuorumTooFewReplicas"), /"replica":"b","link":"down"/)
        assert.strictEqual(yield* status("a", "/readyz"), 503)
        yield* set.start("b")
        yield* set.until("a", (series) => of(series, "peerUp", "b") === 1)
        assert.strictEqual(yield* status("a", "/readyz"), 200)

        // A disk that goes on damaging: an empty folder in its place gets everything from the peers.
        yield* Effect.forEach(
          commandsUnder("QuorumDamage").filter((command) => command.startsWith("mv ")),
          (command) => Set.shell(command, { FOLDER: set.folders.c })
        )
        assert.isFalse(existsSync(set.folders.c))
        yield* set.start("c")
        yield* set.until("a", (series) => of(series, "peerUp", "c") === 1 && of(series, "peerLag", "c") === 0)
        assert.strictEqual(yield* set.put("c", "after", "value"), 201)

        // A replica that starts alone has not heard of its own log: its peers are what it lacks.
        for (const id of ["a", "b", "c"] as const) yield* set.stop(id)
        yield* set.start("a")
        const alone = yield* set.until("a", (series) => series.has(name("recovered")))
        assert.strictEqual(alone.get(name("recovered")), 0)
        assert.include(yield* shows("QuorumNotRecovered"), '"replica":"b"')
        yield* set.start("b")
        yield* set.start("c")
        yield* set.until("a", (series) => series.get(name("recovered")) === 1)
      }),
    timeout
  )
})
