import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Doctor from "../src/Doctor.ts"
import * as OpenPort from "../src/tools/OpenPort.ts"
import * as Program from "./support/program.ts"
import * as Set from "./support/set.ts"

type Status = NonNullable<Doctor.View["status"]>

const peer = {
  replica: "b",
  link: "up",
  since: 1,
  verdict: null,
  detail: null,
  voting: true,
  watermark: 1,
  lag: 0,
  drifted: [],
  clockSkewMillis: 3,
  pushes: 0,
  pushBytes: 0,
  connectionBytes: 0,
  away: null
}

/** As much of a state as is looked at, of a replica that is well. */
const well = {
  identity: { cluster: "quorum", replica: "a", incarnation: "01a214ef27187624" },
  policy: { n: 3, w: 2, ackTimeoutMillis: 2000, order: "real-time", unavailable: "refuse" },
  limits: { namespaceBytes: 255, keyBytes: 1024, valueBytes: 1024 },
  recovered: true,
  voting: true,
  readable: true,
  obstacle: null,
  storeFault: null,
  diskStalledMillis: 0,
  damaged: [],
  lost: [],
  room: { left: 1e9, reserve: 64e6, refusing: false },
  clockHeldMillis: 0,
  farKeys: 0,
  waitingWrites: 0,
  caps: { waitingWrites: 100, waitingBytes: 100, pushes: 1 },
  vector: [{ log: "a@01a214ef27187624", seq: 1, chain: "" }],
  peers: [peer]
} as unknown as Status

/** The same of the other member. */
const wellB = { identity: { ...well.identity, replica: "b" }, peers: [{ ...peer, replica: "a" }] }

const view = (status: object = {}, more: Partial<Doctor.View> = {}): Doctor.View => ({
  url: "http://127.0.0.1:7401",
  status: { ...well, ...status },
  metrics: undefined,
  open: false,
  ...more
})

const double = "another live process has the id a"

describe("doctor", () => {
  it("has nothing to say of replicas that are well", () => {
    const metrics = { [Doctor.series.free]: 50, [Doctor.series.size]: 100 }
    assert.deepStrictEqual(Doctor.examine([view({}, { metrics, open: true }), view(wellB)]), [])
  })

  it("does not say of entries that are lost that peers hold them", () => {
    const range = (from: number) => ({ log: "a@0000000000000001", from, to: from })
    const whatOf = (damaged: ReadonlyArray<object>) =>
      Doctor.examine([view({ damaged, lost: [range(4)] })]).map(({ what }) => what.replace(/:.*/, ""))
    assert.deepStrictEqual(whatOf([range(4)]), ["1 ranges of entries are lost"])
    assert.deepStrictEqual(whatOf([range(4), range(9)]), [
      "1 ranges of entries cannot be read",
      "1 ranges of entries are lost"
    ])
  })

  it("names each thing that is wrong, with what to do", () => {
    const of = (what: Partial<Doctor.View> | undefined, status: object = {}) => Doctor.examine([view(status, what)])
    const far = "http://10.0.0.1:7401"
    const sync = { [Doctor.series.syncSum]: 9, [Doctor.series.syncCount]: 90 }
    for (const [findings, level, said] of [
      [of({ status: undefined, error: "refused" }), "problem", "it does not answer: refused"],
      [of({}, { storeFault: { reason: "disk_full", detail: "no room" } }), "problem", "disk_full"],
      [of({}, { diskStalledMillis: 3200 }), "problem", "its disk has not answered for 3.2 s"],
      [of({}, { damaged: [{}] }), "problem", "1 ranges of entries"],
      [of({}, { lost: [{}, {}] }), "problem", "2 ranges of entries are lost"],
      [of({}, { room: { left: 5e6, reserve: 64e6, refusing: true } }), "problem", "4.8 MiB left, of which 61.0 MiB"],
      [of({}, { recovered: false, obstacle: `${double}, says b` }), "problem", "says b"],
      [of({}, { voting: false, obstacle: "waits for c" }), "problem", "waits for c"],
      [of({}, { recovered: false }), "problem", "it may not write yet"],
      [
        of({}, { vector: [{ log: "z@01a214ef27187624" }] }),
        "problem",
        "it holds what z wrote, and its members are a, b"
      ],
      [of({}, { readable: false }), "warning", "its index is built again"],
      [of({}, { clockHeldMillis: -90_000 }), "problem", "90.0 s too far"],
      [of({}, { farKeys: 2 }), "warning", "2 keys"],
      [of({}, { waitingWrites: 50 }), "warning", "50 writes wait"],
      [of({}, { peers: [{ ...peer, link: "down", detail: "gone" }] }), "problem", "it cannot reach b: gone"],
      [of({}, { peers: [{ ...peer, drifted: ["b@1"] }] }), "problem", "b@1"],
      [of({}, { peers: [{ ...peer, lag: 20_000 }] }), "warning", "20000 entries behind"],
      [of({}, { peers: [{ ...peer, clockSkewMillis: -6000 }] }), "warning", "6.0 s"],
      [of({ metrics: { [Doctor.series.free]: 9, [Doctor.series.size]: 100 } }), "problem", "9 % of its disk"],
      [of({ metrics: sync }), "warning", "100 ms on average"],
      [of({ url: far, open: true }), "problem", "everybody who reaches it"],
      [of({ open: true, elsewhere: "10.0.0.1" }), "warning", "it answers at 10.0.0.1 too, and everybody who reaches it"]
    ] as const) {
      assert.lengthOf(findings, 1, said)
      assert.strictEqual(findings[0]!.level, level, said)
      assert.include(findings[0]!.what, said)
      assert.isAbove(findings[0]!.remedy.length, 5)
    }
    assert.deepStrictEqual(of({ url: far }), [])
  })

  it("tells nobody to start or restart what runs, but to stop one of two that run as the same", () => {
    const down = [{ ...peer, link: "down", detail: "its store fails" }]
    const b = view(wellB)
    const remedies = (views: ReadonlyArray<Doctor.View>) => Doctor.examine(views).map(({ remedy }) => remedy)
    assert.deepStrictEqual(remedies([view({ peers: down })]), ["start b, or mend the network between them"])
    assert.deepStrictEqual(remedies([view({ peers: down }), b]), [
      "see what is said of b, which runs, or mend the network between them"
    ])
    // As where two of three have lost their stores: each waits for the other, and nobody is down.
    assert.deepStrictEqual(remedies([view({ voting: false, recovered: false, obstacle: "it waits for b" })]), [
      "wait, all members run; if it lasts, see https://github.com/quorum-write/quorum/blob/main/docs/operations.md#quorumnotvoting"
    ])
    const obstacle = "members were restored from different backups, and have to begin with one"
    assert.deepStrictEqual(remedies([view({ voting: false, recovered: false, obstacle })]), [
      "choose one backup: see https://github.com/quorum-write/quorum/blob/main/docs/operations.md#quorumnotvoting"
    ])
    const fault = (reason: string) => remedies([view({ storeFault: { reason, detail: "no" } })])
    assert.deepStrictEqual(fault("disk_full"), ["make room: it goes on by itself with the next write"])
    assert.deepStrictEqual(fault("unavailable"), ["do what the detail says, and restart it"])
    const stop = "stop one of the two processes that run as this replica"
    const copy = { voting: false, recovered: false, obstacle: `${double}, says b`, peers: down }
    assert.deepStrictEqual(remedies([view(copy)]), [stop, stop])
  })

  it("compares what has to be the same on all replicas", () => {
    const other = wellB.identity
    const found = (status: object) => Doctor.examine([view(), view({ ...wellB, ...status })]).map(({ what }) => what)
    assert.deepStrictEqual(found({ peers: [...wellB.peers, { ...peer, replica: "c" }] }), [
      "its members are a, b, c, and a's a, b"
    ])
    assert.match(found({ limits: { ...well.limits, keyBytes: 9 } })[0]!, /^its limits are .*"keyBytes":9/)
    assert.match(
      found({ policy: { ...well.policy, w: 3 } })[0]!,
      /^its policy is 3 of 3, real-time, refuse, and a's 2 of 3/
    )
    const accepting = { ...well.policy, unavailable: "accept" } as const
    assert.match(found({ policy: accepting })[0]!, /real-time, accept, and a's 2 of 3, real-time, refuse/)
    assert.match(found({ identity: { ...other, cluster: "x" } })[0]!, /^its replica set is x/)
    assert.deepStrictEqual(found({ identity: well.identity, peers: well.peers }), ["two of the urls lead to it"])
  })

  it.live(
    "finds out whether a replica that is asked over loopback answers elsewhere too, and that it is the same",
    () =>
      Effect.gen(function* () {
        const { incarnation } = well.identity
        const [port, other] = yield* Effect.all([serving(JSON.stringify({ identity: well.identity })), serving("[1]")])
        const url = `http://localhost:${port}`
        const nobody = "127.255.255.254"
        const find = (url: string, incarnation: string, ...addresses: ReadonlyArray<string>) =>
          Effect.promise(() => OpenPort.elsewhere(url, incarnation, addresses))
        assert.strictEqual(yield* find(url, incarnation, nobody, "127.0.0.1"), "127.0.0.1")
        assert.isUndefined(yield* find(url, incarnation, nobody))
        assert.isUndefined(yield* find(url, "01a214ef27187625", "127.0.0.1"))
        assert.isUndefined(yield* find(`http://localhost:${other}`, incarnation, "127.0.0.1"))
        assert.deepStrictEqual(
          [url, "https://[::1]:1", "http://127.9.0.1", "http://10.0.0.1", "http://localhost.example"].map(
            OpenPort.isLoopback
          ),
          [true, true, true, false, false]
        )
      }).pipe(Effect.scoped)
  )

  it.live(
    "looks at replicas that run, and ends with exit code 1 when one of them does not",
    () =>
      Effect.gen(function* () {
        const { start, urls } = yield* Set.make
        const [, , c] = yield* Effect.all([start("a"), start("b"), start("c")], { concurrency: "unbounded" })
        yield* Set.ready(Object.values(urls))
        yield* Set.together(Object.values(urls))
        const env = { QUORUM_URL: Object.values(urls).join(",") }
        const before = yield* Program.outcome(["doctor", "--json"], { env })
        // How full and how fast the disk of the tests is belongs to nobody here.
        const disk = /of its disk are free|a sync takes/
        assert.deepStrictEqual(
          (JSON.parse(before.stdout) as ReadonlyArray<Doctor.Finding>).filter(({ what }) => !disk.test(what)),
          []
        )
        const shown = yield* Effect.promise(() => fetch(`${urls.a}/metrics`).then((answer) => answer.text()))
        for (const name of Object.values(Doctor.series)) assert.include(shown, `\n${name} `)
        yield* c.signal("SIGKILL")
        yield* c.ended
        const after = yield* Program.outcome(["doctor", "--timeout", "2"], { env })
        assert.strictEqual(after.code, 1)
        assert.include(after.stdout, `${urls.c}  it does not answer`)
      }),
    90_000
  )
})

/** A server that answers everything with the same, at a port that it chooses. */
const serving = (text: string) =>
  Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const server = createServer((_, response) => response.end(text))
      server.listen({ host: "127.0.0.1", port: 0 }, () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => void server.close())
  ).pipe(Effect.map((server) => (server.address() as AddressInfo).port))
