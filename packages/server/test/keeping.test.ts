/** What `quorum status` says of what the replicas keep. */
import { assert, describe, it } from "@effect/vitest"
import type { ReplicaStatus } from "@quorum/client"
import * as Keeping from "../src/cli/keeping.ts"
import * as Text from "../src/tools/Text.ts"

const hour = 3_600_000

const replica = (id: string, of: object): ReplicaStatus => ({
  url: `http://127.0.0.1/${id}`,
  status: {
    identity: { replica: id },
    compaction: { last: null, space: null },
    scrub: { last: null },
    damaged: [],
    lost: [],
    ...of
  } as never
})

describe("what the replicas keep", () => {
  it("is shown for each that answers, with when it was read again", () => {
    const a = replica("a", {
      compaction: { last: { liveBytes: 17.5 * 1024 ** 2, waitingBytes: 900 }, space: { taken: 30 * 1024 ** 2 } },
      scrub: { last: { endedAt: 1000 } }
    })
    const silent = { url: "http://127.0.0.1/c", error: new Error("no answer") } as unknown as ReplicaStatus
    assert.deepStrictEqual(Keeping.lines([a, replica("b", {}), silent], 1000 + 3 * hour), [
      "",
      "replica      live  waits to go  logs on disk  all read again",
      "a        17.5 MiB        900 B      30.0 MiB  3 h ago",
      "b               ?            ?             ?  not yet"
    ])
    assert.deepStrictEqual(Keeping.lines([silent], 0), [])
  })

  it("L60 DamageIsLocal: what is damaged is named, and what no member has apart from what is fetched", () => {
    const ranges = [
      { log: "a@1", from: 3, to: 5 },
      { log: "b@1", from: 7, to: 7 }
    ]
    const damaged = replica("a", { damaged: ranges, lost: [ranges[1]] })
    assert.deepStrictEqual(Keeping.lines([damaged], 0).slice(3), [
      "a: entries 3 to 5 of a@1 are damaged here, and are fetched from another member",
      "a: entries 7 to 7 of b@1 are damaged here, and no member has them"
    ])
  })

  it("bytes and spans are shown in a unit that fits", () => {
    assert.deepStrictEqual([0, 1, 1023, 1024, 1536, 5 * 1024 ** 4].map(Text.bytes), [
      "0 B",
      "1 B",
      "1,023 B",
      "1.0 KiB",
      "1.5 KiB",
      "5.0 TiB"
    ])
    assert.deepStrictEqual([-5, 400, 119_000, 120_000, 2 * hour, 47 * hour, 49 * hour].map(Text.span), [
      "0 s",
      "0 s",
      "119 s",
      "2 min",
      "2 h",
      "47 h",
      "2 days"
    ])
  })
})
