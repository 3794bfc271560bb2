/** `quorum doctor` on the folder of a replica that does not run. */
import { assert, describe, it } from "@effect/vitest"
import { ReplicaStore } from "@quorum/core/adapter"
import { existsSync, cpSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import * as Folder from "../src/cli/folder.ts"
import * as FolderDoctor from "../src/FolderDoctor.ts"
import * as Ports from "./support/ports.ts"
import * as Program from "./support/program.ts"
import * as Set from "./support/set.ts"

type Inspection = Exclude<FolderDoctor.FolderView["found"], ReplicaStore.StoreError>

const log = "a@01a214ef27187624"

/** As much as is looked at, of a folder that is well. */
const well = {
  identity: { cluster: "quorum", replica: "a", incarnation: "01a214ef27187624" },
  isSamePlace: true,
  isSameBoot: true,
  isClosed: true,
  isUnsynced: false,
  recovering: undefined,
  isRestoredInPart: false,
  logs: [{ log, seq: 9, damaged: [], isEndDamaged: false }],
  index: { state: "usable", behind: 0 }
} as unknown as Inspection

const view = (
  found: Partial<Inspection> = {},
  more: Partial<FolderDoctor.FolderView> = {}
): FolderDoctor.FolderView => ({
  folder: "/data",
  found: { ...well, ...found },
  disk: { freeBytes: 50, sizeBytes: 100 },
  mode: 0o40700,
  ...more
})

describe("doctor of a folder", () => {
  it("has nothing to say of one that is well", () => {
    const settings = { id: "a", cluster: "quorum", problems: [] }
    for (const listening of [
      { host: "127.0.0.1" },
      { host: "localhost" },
      { host: "::1" },
      { host: "0.0.0.0", tokensFile: "t" }
    ]) {
      const seen = view({}, { settings: { ...settings, ...listening }, syncMillis: 1 })
      assert.deepStrictEqual(FolderDoctor.examine(seen), [])
    }
  })

  it("names each thing that is wrong, with what to do", () => {
    const damaged = [{ log, from: 3, to: 4 }] as unknown as Inspection["logs"][0]["damaged"]
    const ofLog = (more: object) => view({ logs: [{ ...well.logs[0]!, damaged, ...more }] })
    const full = new ReplicaStore.StoreError({ reason: "corrupt", detail: "log.db is damaged" })
    for (const [seen, level, said] of [
      [view({}, { found: full }), "problem", "log.db is damaged"],
      [ofLog({}), "problem", `entries 3 to 4 of ${log} are damaged`],
      [ofLog({ seq: 4, isEndDamaged: true }), "problem", "and the log ends with them"],
      [view({ isSamePlace: false }), "problem", "they were copied"],
      [view({ isSameBoot: false, isClosed: false }), "warning", "the machine was started again"],
      [view({ isClosed: false }), "warning", "it was not stopped in order"],
      [view({ isUnsynced: true }), "problem", "failed to sync"],
      [view({ isRestoredInPart: true }), "problem", "in part"],
      [view({ recovering: "lost" }), "warning", "may be missing"],
      [view({ recovering: "blank" }), "warning", "has not heard"],
      [view({ index: { state: "missing" } }), "warning", "index is missing"],
      [view({ index: { state: "wrong", why: "it lacks k" } }), "problem", "does not agree with its logs: it lacks k"],
      [view({ index: { state: "unusable", why: "it is damaged" } }), "warning", "it is damaged"],
      [view({}, { disk: { freeBytes: 5, sizeBytes: 100 } }), "problem", "5 % of its disk"],
      [view({}, { syncMillis: 80 }), "warning", "a sync takes 80 ms"],
      [view({}, { mode: 0o40755 }), "warning", "other users"],
      // Whose folder it is is not known: it may be open on purpose.
      [view({}, { found: full, mode: 0o41777 }), "problem", "log.db is damaged"],
      [view({}, { settings: { id: "b", problems: [] } }), "problem", "the settings say b"],
      [view({}, { settings: { cluster: "x", problems: [] } }), "problem", "the settings say x"],
      [
        view({}, { settings: { host: "0.0.0.0", problems: [] } }),
        "warning",
        "it listens on 0.0.0.0 and wants no token"
      ],
      [view({}, { settings: { problems: [{ source: "--w", detail: "too many" }] } }), "problem", "--w: too many"]
    ] as const) {
      const findings = FolderDoctor.examine(seen)
      assert.deepStrictEqual([findings.length, findings[0]?.level], [1, level], said)
      assert.include(findings[0]!.what, said)
      assert.notStrictEqual(findings[0]!.remedy, "")
    }
  })

  it.live(
    "looks at what a replica left: whole, damaged, copied, cut off and in use",
    () =>
      Effect.gen(function* () {
        const folder = yield* Program.folder
        const data = join(folder, "a")
        const [port] = yield* Ports.free(1)
        const url = `http://${Ports.host}:${port}`
        const replica = yield* Program.run(["serve", "--id", "a", "--data", data, "--port", String(port)])
        yield* replica.wrote("listens")
        yield* Set.ready([url])
        for (const value of ["one-value", "two-value", "three-value"]) {
          const put = yield* Program.outcome(["put", "n", value, value, "--url", url])
          assert.strictEqual(put.code, 0, put.stderr)
        }
        const doctor = Effect.fnUntraced(function* (data: string, ...more: ReadonlyArray<string>) {
          const { code, stderr, stdout } = yield* Program.outcome(["doctor", "--data", data, "--json", ...more])
          assert.strictEqual(stderr, "")
          const { findings, ...facts } = JSON.parse(stdout) as Inspection & {
            readonly findings: ReadonlyArray<{ readonly what: string }>
          }
          // How full and how fast the disk of the tests is belongs to nobody here.
          const said = findings.map(({ what }) => what).filter((what) => !/of its disk|a sync takes/.test(what))
          return { code: said.length === 0 ? 0 : code, facts, said }
        })
        assert.match((yield* doctor(data)).said.join(), /another process has/)
        yield* replica.signal("SIGTERM")
        assert.strictEqual(yield* replica.ended, 0)

        const whole = yield* doctor(data, "--sync")
        assert.deepStrictEqual([whole.code, whole.said], [0, []])
        assert.strictEqual(String(whole.facts.identity.replica), "a")
        assert.strictEqual(whole.facts.logs[0]?.seq, 3)
        const text = yield* Program.outcome(["doctor", "--data", data])
        assert.include(text.stdout, "replica a of quorum")

        const config = join(folder, "quorum.json")
        writeFileSync(config, JSON.stringify({ id: "b", data, w: 5 }))
        assert.match((yield* doctor(data, "--config", config)).said.join(), /5 replicas cannot hold a write/)
        writeFileSync(config, JSON.stringify({ id: "b", data }))
        assert.match((yield* doctor(data, "--config", config)).said.join(), /belongs to replica a/)
        const secretFile = join(folder, "secret")
        writeFileSync(config, JSON.stringify({ id: "a", data, host: "0.0.0.0", secretFile }))
        assert.deepStrictEqual((yield* doctor(data, "--config", config)).said, [
          "it listens on 0.0.0.0 and wants no token: everybody who reaches it may read and write"
        ])

        const copy = join(folder, "copy")
        cpSync(data, copy, { recursive: true })
        assert.match((yield* doctor(copy)).said.join(), /copied, restored or cloned/)

        const file = join(data, "log.db")
        const bytes = readFileSync(file)
        bytes[bytes.lastIndexOf("two-value")]! ^= 1
        writeFileSync(file, bytes)
        rmSync(join(data, "index.db"))
        const damaged = yield* doctor(data)
        assert.strictEqual(damaged.code, 1)
        assert.match(damaged.said.join(), /entries 2 to 2 of a@\w+ are damaged,its record index is missing/)
        truncateSync(file, 4096)
        assert.match((yield* doctor(data)).said.join(), /log.db is damaged/)
        const nothing = yield* Program.outcome(["doctor", "--data", join(folder, "none")])
        assert.deepStrictEqual([nothing.code, /there is no .*none/.test(nothing.stderr)], [2, true])
        const denied = Object.assign(new Error("permission denied"), { code: "EACCES" })
        assert.include(Folder.noFolder("/d", denied), "this user may not look at /d; run as the one whose it is")
      }),
    120_000
  )

  it.live(
    "looks into a folder of LMDB as well",
    () =>
      Effect.gen(function* () {
        const data = join(yield* Program.folder, "a")
        const [port] = yield* Ports.free(1)
        const flags = ["--id", "a", "--data", data, "--port", String(port), "--store", "lmdb"]
        const replica = yield* Program.run(["serve", ...flags])
        yield* replica.wrote("listens")
        yield* Set.ready([`http://${Ports.host}:${port}`])
        yield* replica.signal("SIGTERM")
        assert.strictEqual(yield* replica.ended, 0)
        const { stdout } = yield* Program.outcome(["doctor", "--data", data])
        assert.match(stdout, /^replica a of quorum, incarnation /)
        assert.include(stdout, "record index: 0 entries behind the logs")
        // Beside it another kind of store would begin as if there had been none.
        const other = yield* Program.outcome(["serve", ...flags.slice(0, -1), "sqlite"])
        assert.deepStrictEqual([other.code, existsSync(join(data, "log.db"))], [2, false])
        assert.include(other.stderr, `store: it is sqlite, and ${data} has the store of a replica in lmdb`)
      }),
    120_000
  )
})
