/** A replica whose disk is nearly full, on a real file system of its own. */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DiskLow } from "@quorum/client"
import type { ReplicaStatus } from "@quorum/core"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { openReplica, type OpenReplica } from "../src/index.ts"

const mebibyte = 1024 * 1024
const canMount =
  process.platform === "linux" && process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0

let disk = ""
let replica: OpenReplica | undefined

beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), "quorum-low-"))
  if (canMount) execFileSync("mount", ["-t", "tmpfs", "-o", "size=32m", "tmpfs", disk])
})

afterEach(async () => {
  await replica?.close()
  if (canMount) execFileSync("umount", ["-l", disk])
  rmSync(disk, { recursive: true, force: true })
})

/** What a put of 200 kB is answered with: `undefined` when it was taken. */
const put = ({ put }: OpenReplica, key: string): Promise<unknown> =>
  put("notes", key, new Uint8Array(200_000)).then(
    () => undefined,
    (error: unknown) => error
  )

const freeBytes = (): number => {
  const { bavail, bsize } = statfsSync(disk)
  return bavail * bsize
}

const soon = async (look: () => Promise<boolean> | boolean): Promise<void> => {
  while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 100))
}

describe("a replica whose disk is nearly full (skipped where nothing can be mounted)", () => {
  for (const store of ["sqlite", "lmdb"] as const) {
    it.skipIf(!canMount)(
      `on ${store} refuses puts, and takes them again once deletes were compacted, without a restart`,
      async () => {
        const open = await openReplica({ id: "a", folder: join(disk, "a"), store, port: 0, quiet: true })
        replica = open
        let puts = 0
        let error: unknown
        // What was appended is counted as taken until it is looked again: so once more after a look.
        for (let looks = 0; looks < 3; looks++) {
          while ((error = await put(open, `k${puts}`)) === undefined) puts++
          await new Promise((resolve) => setTimeout(resolve, 1100))
        }
        assert.instanceOf(error, DiskLow)
        // A sixteenth of the disk.
        assert.strictEqual(error.reserveBytes, 2 * mebibyte)
        assert.isBelow(error.leftBytes, 2.25 * mebibyte)
        assert.isAbove(freeBytes(), mebibyte)
        const answer = await fetch(`${open.url}/v1/records/notes/k`, { method: "PUT", body: "v" })
        assert.strictEqual(answer.status, 507)
        assert.deepInclude((await answer.json()) as object, { error: "disk_low", reserveBytes: 2 * mebibyte })
        for (let i = 1; i < puts; i++) await open.delete("notes", `k${i}`)
        assert.instanceOf(await put(open, "again"), DiskLow)
        await soon(async () => (await put(open, "again")) === undefined)
        await soon(async () => {
          const { compaction } = (await (await fetch(`${open.url}/v1/status`)).json()) as ReplicaStatus.Status
          return (compaction.last?.erasedBytes ?? 0) > 20 * mebibyte
        })
        assert.strictEqual((await open.get("notes", "k0"))?.bytes.length, 200_000)
        assert.isUndefined(await open.get("notes", "k1"))
      },
      120_000
    )
  }

  it.skipIf(!canMount)("makes no backup that would take what is kept, and one where there is room for it", async () => {
    const open = await openReplica({ id: "a", folder: join(disk, "a"), port: 0, quiet: true })
    replica = open
    const backup = () => fetch(`${open.url}/v1/backup`)
    const status = async () => (await (await fetch(`${open.url}/v1/status`)).json()) as ReplicaStatus.Status
    for (let i = 0; i < 40; i++) assert.isUndefined(await put(open, `k${i}`))
    // It is looked once a second what the logs take.
    await soon(async () => (await status()).compaction.space!.taken > 8_000_000)
    const whole = await backup()
    assert.strictEqual(whole.status, 200)
    assert.isAbove((await whole.arrayBuffer()).byteLength, 8_000_000)
    await soon(() => !existsSync(join(disk, "a", "backup.sending")))
    // As much as it takes, and half of what is kept.
    writeFileSync(join(disk, "filler"), new Uint8Array(freeBytes() - 9 * mebibyte))
    const left = freeBytes()
    const refused = await backup()
    assert.strictEqual(refused.status, 507)
    assert.strictEqual(((await refused.json()) as { error: string }).error, "disk_low")
    assert.isAtLeast(freeBytes(), left)
    assert.isUndefined(await put(open, "after"))
  })

  it.skipIf(!canMount)("takes puts again as soon as somebody else's files are gone", async () => {
    replica = await openReplica({
      id: "a",
      folder: join(disk, "a"),
      port: 0,
      quiet: true,
      reserveBytes: 4 * mebibyte
    })
    const open = replica
    const filler = join(disk, "filler")
    writeFileSync(filler, new Uint8Array(freeBytes() - 3 * mebibyte))
    await soon(async () => (await put(open, "k")) instanceof DiskLow)
    rmSync(filler)
    await soon(async () => (await put(open, "k")) === undefined)
  })
})
