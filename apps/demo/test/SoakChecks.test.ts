import { assert, describe, it } from "@effect/vitest"
import { Entry, type LogId, WriteId } from "@quorum/core"
import { EntryBatch, RunId, Watermark } from "@quorum/core/adapter"
import * as Checks from "../src/soak/Checks.ts"
import type * as History from "../src/soak/History.ts"
import { type Held, type Logs, none, noteChain, noteErased, noteGap } from "../src/soak/Logs.ts"

const tie = RunId.RunId.make("0000000000000001")

/** Two acknowledged writes of one key at a, one after the other, a linearizable read and one that had to see the second. */
const sound = () => {
  const operation = (
    fields: Partial<History.Operation> & Pick<History.Operation, "id" | "kind">
  ): History.Operation => ({
    entry: fields.id,
    key: "hot/k",
    at: "a",
    begun: fields.id * 10,
    ended: fields.id * 10 + 5,
    outcome: fields.kind === "read" ? "read" : "acknowledged",
    writeId: fields.kind === "read" ? undefined : idOf(fields.id),
    version: fields.kind === "read" ? undefined : { clock: { wallTime: 1000 + fields.id, logical: 0 }, tie },
    drawn: undefined,
    again: [],
    counted: fields.kind === "read" ? [] : ["a", "b"],
    seen: undefined,
    consistency: "local",
    after: undefined,
    ...fields
  })
  const first = operation({ id: 0, kind: "put" })
  const second = operation({ id: 1, kind: "put" })
  const operations = [
    first,
    second,
    operation({ id: 2, kind: "read", seen: 1, consistency: "linearizable" }),
    operation({ id: 3, kind: "read", seen: 1, after: second }),
    operation({ id: 4, kind: "read", seen: 1, consistency: "quorum" })
  ]
  const held = ({ id, key, kind, version, writeId }: History.Operation): Held => ({
    id: writeId!,
    version: version!,
    records: [kind === "put" ? { kind, key, operation: id } : { kind: "delete", key, operation: undefined }],
    holders: ["a", "b"]
  })
  const logs: Logs = { ...none(), writes: new Map([first, second].map((each) => [each.writeId!, held(each)])) }
  const page = () => new Map([["hot/k", { writeId: second.writeId! as string, operation: 1 as number | undefined }]])
  const pages = new Map([
    ["a", page()],
    ["b", page()]
  ])
  const clocks = ["a", "b"].map((at) => ({ at, wallTime: 1_000_000 + 59_000, now: 1_000_000 }))
  const recovering = [{ at: "c", from: 0, to: 100 }]
  return { operations, logs, pages, clocks, recovering, first, second, operation, held }
}

const idOf = (id: number) => WriteId.make("a@0000000000000001" as LogId.LogId, id + 1, id)

/** The promises that are broken by what is known. */
const broken = (evidence: Checks.Evidence): ReadonlyArray<string> =>
  Object.entries(Checks.checks).flatMap(([name, check]) => (check(evidence).length > 0 ? [name] : []))

/** The promises that are broken once something is changed. */
const after = (change: (evidence: ReturnType<typeof sound>) => void): ReadonlyArray<string> => {
  const evidence = sound()
  change(evidence)
  return broken(evidence)
}

describe("what a soak looks at", () => {
  it("finds nothing wrong where everything held", () => {
    assert.deepStrictEqual(broken(sound()), [])
  })

  it("L50 AckedIsDurable: finds an acknowledged write that is gone from one disk, from all, or has other bytes", () => {
    assert.deepStrictEqual(
      after(({ first, logs }) => logs.writes.get(first.writeId!)!.holders.pop()),
      ["AckedIsDurable"]
    )
    assert.deepStrictEqual(
      after(({ first, logs }) => logs.writes.delete(first.writeId!)),
      ["AckedIsDurable"]
    )
    assert.include(
      after(({ first, logs }) =>
        logs.writes.set(first.writeId!, {
          ...logs.writes.get(first.writeId!)!,
          records: [{ kind: "put", key: "hot/k", operation: 2 }]
        })
      ),
      "AckedIsDurable"
    )
  })

  it("AckedIsDurable: takes an erased write for held where every disk that lacks it has a newer one of its key", () => {
    const erase = ({ logs }: ReturnType<typeof sound>, id: number, ...holders: ReadonlyArray<string>) => {
      const { log, seq } = WriteId.place(idOf(id))
      logs.writes.delete(idOf(id))
      for (const holder of holders) noteErased(logs, { holder, log, from: seq, to: seq })
    }
    assert.deepStrictEqual(
      after((evidence) => erase(evidence, 0, "a", "b")),
      []
    )
    assert.deepStrictEqual(
      after((evidence) => erase(evidence, 0, "a")),
      ["AckedIsDurable"]
    )
    assert.include(
      after((evidence) => erase(evidence, 1, "a", "b")),
      "AckedIsDurable"
    )
    assert.include(
      after((evidence) => {
        erase(evidence, 0, "a", "b")
        evidence.logs.writes.get(idOf(1))!.holders.pop()
      }),
      "AckedIsDurable"
    )
  })

  it("AckedIsDurable: takes a copy under another log, with its version, for the write", () => {
    const broken = after(({ first, logs }) => {
      const held = logs.writes.get(first.writeId!)!
      logs.writes.delete(first.writeId!)
      const id = WriteId.make("b@0000000000000001" as LogId.LogId, 1, 9)
      logs.writes.set(id, { ...held, id })
    })
    assert.deepStrictEqual(broken, [])
  })

  it("L50 LaterWins: finds a later write with an older version, and none where they were under way at once", () => {
    const older = (begun: number) =>
      after(({ first, logs, operations, second }) => {
        const version = { clock: { wallTime: 999, logical: 0 }, tie }
        operations[1] = { ...second, begun, version }
        operations.length = 2
        logs.writes.set(second.writeId!, { ...logs.writes.get(second.writeId!)!, version })
        assert.strictEqual(first.ended, 5)
      })
    assert.include(older(6), "LaterWins")
    assert.notInclude(older(4), "LaterWins")
  })

  it("L50 NotWrittenMeansNever: finds a write on a disk that was answered with nothing written", () => {
    assert.deepStrictEqual(
      after(({ first }) => (first.outcome = "nothing")),
      ["NotWrittenMeansNever"]
    )
  })

  it("L50 NoResurrection: finds a value that is shown after its delete", () => {
    const broken = after(({ held, logs, operation, operations }) => {
      const deleted = operation({ id: 5, kind: "delete" })
      operations.push(deleted)
      logs.writes.set(deleted.writeId!, held(deleted))
    })
    assert.deepStrictEqual(broken, ["NoResurrection"])
  })

  it("L50 OrderFree: finds a page that shows another write than the newest, or none", () => {
    assert.deepStrictEqual(
      after(({ first, pages }) => pages.get("b")!.set("hot/k", { writeId: first.writeId!, operation: 0 })),
      ["OrderFree"]
    )
    assert.deepStrictEqual(
      after(({ pages }) => pages.get("b")!.clear()),
      ["OrderFree"]
    )
  })

  it("L50 OneEntryPerPlace: finds a place that was given twice, a write with two versions, and a version of two writes", () => {
    const same = after(({ first, second }) => (second.writeId = first.writeId))
    assert.include(same, "OneEntryPerPlace")
    const twice = after(({ logs, second }) => {
      const id = WriteId.make("b@0000000000000001" as LogId.LogId, 1, 9)
      const version = { clock: { wallTime: 1000, logical: 7 }, tie }
      logs.writes.set(id, { ...logs.writes.get(second.writeId!)!, id, version })
    })
    assert.deepStrictEqual(twice, ["OneEntryPerPlace"])
    const shared = after(({ first, logs }) => {
      const id = WriteId.make("b@0000000000000001" as LogId.LogId, 1, 9)
      logs.writes.set(id, {
        ...logs.writes.get(first.writeId!)!,
        id,
        records: [{ kind: "delete", key: "hot/k", operation: undefined }]
      })
    })
    assert.deepStrictEqual(shared, ["OneEntryPerPlace"])
  })

  it("PrefixOrder: finds a copy of a log with another chain, and one that left something out", () => {
    const log = "a@0000000000000001" as LogId.LogId
    assert.deepStrictEqual(
      after(({ logs }) => {
        for (const [holder, chain] of [
          ["a", "x"],
          ["b", "x"]
        ] as const)
          noteChain(logs, { holder, log, seq: 1, chain })
        noteChain(logs, { holder: "a", log, seq: 2, chain: "y" })
      }),
      []
    )
    assert.deepStrictEqual(
      after(({ logs }) => {
        for (const [holder, chain] of [
          ["a", "x"],
          ["b", "y"]
        ] as const)
          noteChain(logs, { holder, log, seq: 1, chain })
      }),
      ["PrefixOrder"]
    )
    const encode = (head: Watermark.Watermark) =>
      EntryBatch.encode(head, [Entry.put("hot", "k", "1")], { wallTime: 1, logical: 0 }, 1).batch
    const first = encode(Watermark.none(log))
    const held = EntryBatch.watermark(first)
    const gap = (batch: EntryBatch.EntryBatch, head: Watermark.Watermark) =>
      after(({ logs }) => noteGap(logs, { holder: "a", batch, after: head }))
    assert.deepStrictEqual(gap(encode(held), held), [])
    assert.deepStrictEqual(gap(encode({ ...held, seq: 2 }), held), ["PrefixOrder"])
    assert.deepStrictEqual(gap(first, { ...held, seq: 0 }), ["PrefixOrder"])
  })

  it("BoundedClocks: finds a clock that is two minutes ahead", () => {
    assert.deepStrictEqual(
      after(({ clocks }) => (clocks[1] = { ...clocks[1]!, wallTime: clocks[1]!.now + 120_000 })),
      ["BoundedClocks"]
    )
  })

  it("RecoveringDoesNotVote: finds a replica that answered, or was counted, while it said that it does not vote", () => {
    const voted = (change: Partial<History.Operation>, from: number, to: number) =>
      after(({ operations, recovering }) => {
        operations[1] = { ...operations[1]!, ...change }
        recovering[0] = { at: "c", from, to }
      })
    const { begun, ended } = sound().second
    assert.deepStrictEqual(voted({ counted: ["a", "c"] }, begun, ended! + 1), ["RecoveringDoesNotVote"])
    assert.deepStrictEqual(voted({ at: "c" }, begun, ended! + 1), ["RecoveringDoesNotVote"])
    assert.deepStrictEqual(voted({ at: "c", counted: ["a", "c"] }, begun + 1, ended! + 1), [])
    assert.deepStrictEqual(voted({ at: "c", counted: ["a", "c"] }, begun, ended!), [])
    assert.deepStrictEqual(
      after(({ operations, recovering }) => {
        operations[3] = { ...operations[3]!, at: "c" }
        recovering[0] = { at: "c", from: operations[3].begun, to: operations[3].ended! + 1 }
      }),
      ["RecoveringDoesNotVote"]
    )
  })

  it("L50 ReadYourWrites: finds a read that missed what it had to see, or saw what was not written yet", () => {
    for (const seen of [0, undefined]) {
      assert.deepStrictEqual(
        after(({ operations }) => (operations[3]!.seen = seen)),
        ["ReadYourWrites"]
      )
    }
    const early = after(({ operations, second }) => (operations[3] = { ...operations[3]!, ended: second.begun - 1 }))
    assert.deepStrictEqual(early, ["ReadYourWrites"])
  })

  it("Overlap: finds a quorum read of what was overwritten before, and none where the newer write was under way", () => {
    for (const seen of [0, undefined]) {
      assert.deepStrictEqual(
        after(({ operations }) => (operations[4]!.seen = seen)),
        ["Overlap"]
      )
    }
    const together = after(({ operations, second }) => {
      operations[1] = { ...second, ended: 46 }
      operations[4]!.seen = 0
      operations.splice(2, 2)
    })
    assert.deepStrictEqual(together, [])
  })

  it("OnceByKey: finds a second receipt and a copy of a stamped write that have another version than its stamp", () => {
    const stamped = (change: (evidence: ReturnType<typeof sound>, copy: Held) => void) =>
      after((evidence) => {
        const { held, logs, second } = evidence
        const id = WriteId.make("b@0000000000000001" as LogId.LogId, 1, 9)
        const copy = { ...held(second), id }
        second.drawn = second.version
        second.again.push({ writeId: id, version: second.version! })
        logs.writes.set(id, copy)
        change(evidence, copy)
      })
    const version = { clock: { wallTime: 1001, logical: 7 }, tie }
    assert.deepStrictEqual(
      stamped(() => {}),
      []
    )
    assert.deepStrictEqual(
      stamped(({ second }) => (second.again[0] = { ...second.again[0]!, version })),
      ["OnceByKey"]
    )
    assert.include(
      stamped(({ logs }, copy) => logs.writes.set(copy.id, { ...copy, version })),
      "OnceByKey"
    )
    assert.include(
      stamped(({ first, second }) => (second.again[0] = { ...second.again[0]!, writeId: first.writeId! })),
      "OneEntryPerPlace"
    )
  })

  it("AckedIsDurable: takes a stamped write for held where one of its two copies is", () => {
    const split = (holders: ReadonlyArray<string>) =>
      after(({ held, logs, second }) => {
        const id = WriteId.make("b@0000000000000001" as LogId.LogId, 1, 9)
        const { log, seq } = WriteId.place(second.writeId!)
        logs.writes.delete(second.writeId!)
        for (const holder of ["a", "b"]) noteErased(logs, { holder, log, from: seq, to: seq })
        logs.writes.set(id, { ...held(second), id, holders: [...holders] })
      })
    assert.deepStrictEqual(split(["a", "b"]), [])
    assert.deepStrictEqual(split(["a"]), ["AckedIsDurable"])
    const superseded = (holders: ReadonlyArray<string>) =>
      after(({ first, held, logs, second }) => {
        const id = WriteId.make("b@0000000000000001" as LogId.LogId, 1, 9)
        logs.writes.set(first.writeId!, { ...held(first), holders: ["a"] })
        noteErased(logs, { holder: "b", log: WriteId.place(first.writeId!).log, from: 1, to: 2 })
        logs.writes.set(second.writeId!, { ...held(second), holders: ["a"] })
        logs.writes.set(id, { ...held(second), id, holders: [...holders] })
      })
    assert.deepStrictEqual(superseded(["b"]), [])
    assert.deepStrictEqual(superseded(["a"]), ["AckedIsDurable"])
  })

  it("WholeOrNotAtAll: finds an entry of two keys of which a disk, or a replica that shows one of them, lacks the other", () => {
    const paired = (change: (evidence: ReturnType<typeof sound>, entry: Held) => void) =>
      after((evidence) => {
        const { held, logs, operation, operations, pages } = evidence
        const [one, other] = (["hot/a", "hot/b"] as const).map((key, i) =>
          operation({
            id: 5 + i,
            entry: 5,
            kind: "put",
            key,
            writeId: idOf(5),
            version: { clock: { wallTime: 1005, logical: 0 }, tie }
          })
        ) as [History.Operation, History.Operation]
        const entry: Held = { ...held(one), records: [one, other].flatMap((each) => held(each).records) }
        operations.push(one, other)
        logs.writes.set(entry.id, entry)
        for (const page of pages.values())
          for (const { id, key } of [one, other]) page.set(key, { writeId: entry.id, operation: id })
        change(evidence, entry)
      })
    assert.deepStrictEqual(
      paired(() => {}),
      []
    )
    for (const left of [0, 1]) {
      const torn = paired(({ logs, pages }, entry) => {
        logs.writes.set(entry.id, { ...entry, records: [entry.records[left]!] })
        for (const page of pages.values()) page.delete(entry.records[1 - left]!.key)
      })
      assert.include(torn, "WholeOrNotAtAll")
      assert.include(torn, "AckedIsDurable")
    }
    assert.include(
      paired(({ pages }) => pages.get("b")!.delete("hot/b")),
      "WholeOrNotAtAll"
    )
  })

  it("L50 AtomicRegister: finds a linearizable read of what was overwritten before", () => {
    assert.deepStrictEqual(
      after(({ operations }) => (operations[2]!.seen = 0)),
      ["AtomicRegister"]
    )
  })
})
