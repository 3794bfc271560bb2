/** A program that uses a store and says what it does; its first argument chooses what. Started by the tests. */
import { Entry, HybridLogicalClock, LogId, ReplicaId, ReplicaSet } from "@quorum/core"
import { EntryBatch, RecordIndex, ReplicaStore, RunId, Watermark } from "@quorum/core/adapter"
import { Effect, Result, type Scope } from "effect"
import * as fs from "node:fs"
import { DatabaseSync, StatementSync } from "node:sqlite"
import { SqliteReplicaStore, SqliteStore } from "../../src/index.ts"

const [task, folder, steps] = process.argv.slice(2) as [
  "hold" | "append" | "create" | "index" | "fail" | "state" | "die" | "identity",
  string,
  string?
]
const members = { cluster: "test", self: ReplicaId.make("a"), peers: [] }
const clockZero = HybridLogicalClock.zero
const print = (text: string | number) => fs.writeSync(1, `${text}\n`)

/** Opens the store and keeps it until it is killed. */
const hold = Effect.gen(function* () {
  yield* SqliteReplicaStore.make({ folder })
  print("open")
  process.stdin.resume()
  yield* Effect.never
})

/** Opens the store, prints its incarnation, and keeps it until it is killed. */
const identity = Effect.gen(function* () {
  const store = yield* SqliteReplicaStore.make({ folder })
  print(store.identity.incarnation)
  process.stdin.resume()
  yield* Effect.never
})

/** Appends batches for ever, and prints the last sequence of each after `append` returned. */
const append = Effect.gen(function* () {
  const store = yield* SqliteReplicaStore.make({ folder })
  const log = LogId.make(store.identity.replica, store.identity.incarnation)
  let head = (yield* store.watermarks)[0] ?? Watermark.none(log)
  while (true) {
    const writes = Array.from({ length: 1 + (head.seq % 7) }, (_, i) =>
      Entry.put("ns", `key ${head.seq + 1 + i}`, `${head.seq + 1 + i}`.padEnd((head.seq % 11) * 400))
    )
    head = yield* store.append(EntryBatch.encode(head, writes, HybridLogicalClock.zero, Date.now()).batch)
    print(head.seq)
  }
})

/** Creates a store and prints its incarnation, unless the process dies before so many SQL calls are made. */
const create = Effect.gen(function* () {
  let left = Number(steps)
  const step = (prototype: object, name: "exec" | "run") => {
    const original = Reflect.get(prototype, name) as (...args: ReadonlyArray<unknown>) => unknown
    Reflect.set(prototype, name, function (this: unknown, ...args: ReadonlyArray<unknown>) {
      if (left-- === 0) process.kill(process.pid, "SIGKILL")
      return Reflect.apply(original, this, args)
    })
  }
  step(DatabaseSync.prototype, "exec")
  step(StatementSync.prototype, "run")
  print((yield* SqliteReplicaStore.make({ folder })).identity.incarnation)
})

/** Merges pointers for ever, one transaction per entry, and prints the sequence after the merge. */
const index = Effect.gen(function* () {
  const store = yield* ReplicaStore.ReplicaStore
  const records = yield* RecordIndex.RecordIndex
  const log = LogId.make(store.identity.replica, store.identity.incarnation)
  const clock = { wallTime: 1, logical: 0 }
  let head = Watermark.none(log)
  while (true) {
    head = yield* store.append(EntryBatch.encode(head, [Entry.put("ns", `${head.seq}`, "")], clock, 1).batch)
    const pointer = { namespace: "ns", key: `${head.seq}`, log, seq: head.seq, clock, tie: RunId.none, deleted: false }
    yield* records.merge([pointer], new Map([[log, head.seq]]))
    print(head.seq)
  }
}).pipe(Effect.provide(SqliteStore.layer({ folder })))

/**
 * Opens the store and prints the error. Root may write everything, so it becomes somebody else first; only now, because
 * somebody else may not be allowed to read this program.
 */
const fail = Effect.gen(function* () {
  if (process.getuid?.() === 0) {
    process.setgid?.(65534)
    process.setuid?.(65534)
  }
  const opened = yield* Effect.result(SqliteReplicaStore.make({ folder }))
  print(Result.isFailure(opened) ? `${opened.failure.reason} ${opened.failure.detail}` : "opened")
})

/** Opens the store and prints how much it holds. */
const state = Effect.gen(function* () {
  const store = yield* SqliteReplicaStore.make({ folder })
  print(`held ${(yield* store.watermarks)[0]?.seq ?? 0}`)
})

/** Appends one entry and is killed, as nobody can be who closes a file in order. */
const die = Effect.gen(function* () {
  const store = yield* SqliteReplicaStore.make({ folder })
  const log = LogId.make(store.identity.replica, store.identity.incarnation)
  yield* store.append(EntryBatch.encode(Watermark.none(log), [Entry.put("ns", "k", "v")], clockZero, 1).batch)
  process.kill(process.pid, "SIGKILL")
})

const program: Effect.Effect<unknown, unknown, Scope.Scope | ReplicaSet.ReplicaSet> = {
  hold,
  append,
  create,
  index,
  fail,
  state,
  die,
  identity
}[task]!
await Effect.runPromise(Effect.provideService(Effect.scoped(program), ReplicaSet.ReplicaSet, members))
