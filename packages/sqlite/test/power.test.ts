/**
 * What is left after a power loss: whatever part of the writes that were not synced is on the disk, also a part of one,
 * all that was acknowledged is there, and nothing that was not written.
 *
 * `QUORUM_POWER_IMAGES=5000 npx -y pnpm@12 exec vitest run power` tries more of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { LogId } from "@quorum/core"
import { type Chain, EntryBatch, type ReplicaStore, Watermark } from "@quorum/core/adapter"
import { Faults } from "@quorum/testing"
import { Effect, Exit, Fiber, Option, Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { setImmediate } from "node:timers/promises"
import * as Syncing from "../src/internal/syncing.ts"
import * as Power from "./support/power.ts"
import { batchAfter, logA, logB, open, tempFolder, using } from "./support/store.ts"

type Store = ReplicaStore.ReplicaStore["Service"]

const images = Number(process.env["QUORUM_POWER_IMAGES"] ?? 1000)
const imagesOfRun = 60
const logs = [logA, logB]

/**
 * What is known of a store: of its logs the chain at every place, and how far they were acknowledged, and so of its notes
 * and its incarnation.
 */
const makeKnown = () => {
  const chains = new Map<LogId.LogId, Array<Chain.Chain>>(logs.map((log) => [log, [Watermark.none(log).chain]]))
  const acked = new Map<LogId.LogId, number>(logs.map((log) => [log, 0]))
  /** What was given up of a log, by the number of the cut that did it. */
  const givenUp: Array<{ readonly log: LogId.LogId; readonly chain: Chain.Chain; readonly cut: number }> = []
  const known = {
    acked,
    /** How many cuts were acknowledged. */
    cuts: 0,
    /** The entries of which it was acknowledged that they are erased. */
    erased: new Set<string>(),
    /** Notes are numbered, so that a later one may be there too. */
    note: 0,
    incarnation: LogId.incarnation(logA),
    written: (batch: EntryBatch.EntryBatch): void => {
      const known = chains.get(batch.log)!
      for (let seq = batch.from; seq <= EntryBatch.last(batch); seq++) known[seq] = EntryBatch.chainAt(batch, seq)!
    },
    end: (log: LogId.LogId): Watermark.Watermark => {
      const known = chains.get(log)!
      return { log, seq: known.length - 1, chain: known.at(-1)! }
    },
    chainAt: (log: LogId.LogId, seq: number) => chains.get(log)![seq],
    /** Whether a log may be like this up to an entry where so many cuts were acknowledged. */
    isWritten: (log: LogId.LogId, seq: number, chain: Chain.Chain, cuts: number): boolean =>
      chains.get(log)![seq] === chain ||
      givenUp.some((given) => given.log === log && given.chain === chain && given.cut > cuts),
    /** What is after an entry may be gone from now on. */
    cutting: (log: LogId.LogId, after: number): void => {
      const gone = chains.get(log)!.splice(after + 1)
      givenUp.push(...gone.map((chain) => ({ log, chain, cut: known.cuts + 1 })))
      acked.set(log, Math.min(after, acked.get(log)!))
      for (const place of known.erased) {
        const [name, seq] = place.split(":")
        if (name === log && Number(seq) > after) known.erased.delete(place)
      }
    }
  }
  return known
}

type Known = ReturnType<typeof makeKnown>

/** What was acknowledged at some moment. */
interface Said {
  readonly acked: ReadonlyMap<LogId.LogId, number>
  readonly erased: ReadonlySet<string>
  readonly cuts: number
  readonly note: number
  readonly incarnation: LogId.Incarnation
}

/** The two notes that are set together: one number, and a filling of any length. */
const noteNames = ["left", "right"]
const noteOf = (text: string): number => Number.parseInt(text, 10)

/** A store that is opened on what is left has all that was acknowledged then, and nothing else than what was written. */
const check = Effect.fnUntraced(function* (
  store: Store,
  known: Known,
  { acked, cuts, erased, incarnation, note }: Said
) {
  const heads = new Map((yield* store.watermarks).map((head) => [head.log, head]))
  for (const log of logs) {
    const head = heads.get(log) ?? Watermark.none(log)
    assert.isAtLeast(head.seq, acked.get(log)!, `${log} lacks what was acknowledged`)
    const isWritten = known.isWritten(log, head.seq, head.chain, cuts)
    assert.isTrue(isWritten, `${log} ends with what was not written, or was given up`)
    for (let at = 0; at < head.seq;) {
      const page = Option.getOrThrow(yield* store.read(log, at, 1 << 20))
      at = EntryBatch.last(page)
      assert.isTrue(known.isWritten(log, at, page.chain, cuts))
      EntryBatch.forEach(page, (seq) => assert.isFalse(erased.has(`${log}:${seq}`), `${log}:${seq} is back`))
    }
  }
  assert.deepStrictEqual(store.damaged(), [])
  const [left, right] = yield* Effect.forEach(noteNames, (name) => store.note(name))
  assert.deepStrictEqual(left, right, "of notes that were set together one is there")
  assert.isAtLeast(noteOf(Option.getOrElse(left!, () => "0")), note, "a note is lacking that was acknowledged")
  // Elsewhere it has a new one by now, a leap above the one that it was left with.
  const now = store.identity.incarnation
  const is = store.doubt === "other_place" ? now > LogId.incarnationWithout(incarnation) : now === incarnation
  assert.isTrue(is, "an incarnation is lacking that was acknowledged")
})

/** Writes to a store, with power failures in between; so many of them. */
const run = Effect.fnUntraced(function* (seed: number, wanted: number) {
  const random = Faults.generator(seed)
  const folder = path.join(yield* tempFolder, "store")
  const known = makeKnown()
  let power: ReturnType<typeof Power.watch> | undefined = undefined
  const pending: Array<Said & { readonly to: string }> = []
  let made = 0
  const fail = (): void => {
    if (power === undefined || made === wanted || random() < 0.5) return
    const to = path.join(folder, "..", `image-${made++}`)
    power.image(to, random)
    const { cuts, incarnation, note } = known
    pending.push({ to, acked: new Map(known.acked), cuts, erased: new Set(known.erased), note, incarnation })
  }
  const disk = (descriptor: number, done: (cause: Error | null) => void): void => {
    if (power === undefined) return fs.fdatasync(descriptor, done)
    power.sync(descriptor, Math.floor(random() * 10), () => {
      fail()
      done(null)
      fail()
    })
    fail()
  }
  /** Under way. Some are still when the next ones come, so that there are writes during checkpoints too. */
  const appends: Array<Fiber.Fiber<void, unknown>> = []
  const scope = yield* Scope.make()
  const store = yield* open(folder).pipe(Effect.provideService(Syncing.Disk, disk), Scope.provide(scope))
  const append = (log: LogId.LogId, count: number, bytes: number) => {
    const batch = batchAfter(
      known.end(log),
      Array.from({ length: count }, () => new Uint8Array(bytes).fill(random() * 256))
    )
    known.written(batch)
    return Effect.map(store.append(batch), ({ seq }) => {
      known.acked.set(log, Math.max(seq, known.acked.get(log)!))
    })
  }
  /** Erases some of what is stored of a log, and of what comes next, which are appended so. */
  const erase = Effect.fnUntraced(function* (log: LogId.LogId, goesOn: boolean) {
    const { seq: end } = known.end(log)
    const page = goesOn
      ? batchAfter(known.end(log), ["1", "2", "3"])
      : Option.getOrUndefined(yield* store.read(log, Math.floor(random() * end), Math.floor(random() * 60_000)))
    if (page === undefined) return
    if (goesOn) known.written(page)
    const gone: Array<string> = []
    const part = EntryBatch.erase(page, (seq) => {
      if (random() < 0.3) return "kept"
      gone.push(`${log}:${seq}`)
      return "superseded"
    })
    const last = EntryBatch.last(part)
    yield* store.replace(part)
    for (const place of gone) known.erased.add(place)
    known.acked.set(log, Math.max(last, known.acked.get(log)!))
  })
  /** Gives up what is after an entry, of which the chain is known; nothing is appended to the log meanwhile. */
  const cut = Effect.fnUntraced(function* (log: LogId.LogId) {
    yield* Effect.forEach(appends.splice(0), Fiber.join)
    const after = Math.floor((1 - random() ** 2) * known.acked.get(log)!)
    if (Option.isNone(yield* store.chainAt(log, after))) return
    known.cutting(log, after)
    assert.strictEqual((yield* store.cut(log, after)).seq, after)
    known.cuts++
  })
  let notes = 0
  const setNotes = () => {
    const number = ++notes
    const text = `${number} ${"-".repeat(Math.floor(random() ** 2 * 10_000))}`
    return Effect.map(store.setNotes(Object.fromEntries(noteNames.map((name) => [name, text]))), () => {
      known.note = Math.max(number, known.note)
    })
  }
  /** Writes nothing for so long that the write-ahead log is cut; what is written then comes while it is. */
  const rest = Effect.gen(function* () {
    yield* Effect.forEach(appends.splice(0), Fiber.join)
    yield* Effect.repeat(store.space, { times: 19 })
  })
  known.incarnation = store.identity.incarnation
  // The first commits SQLite syncs itself.
  for (const log of logs) yield* append(log, 1, 10)
  power = Power.watch(folder)
  const step = Effect.gen(function* () {
    yield* Effect.promise(() => setImmediate())
    for (let left = 1 + Math.floor(random() * 3); left > 0; left--) {
      const log = logs[Math.floor(random() * 2)]!
      const [count, bytes] = random() < 0.5 ? [1, 100] : [1 + Math.floor(random() * 30), Math.floor(random() * 20_000)]
      appends.push(yield* Effect.forkChild(append(log, count!, bytes!), { startImmediately: true }))
      power.look()
      fail()
    }
    if (random() < 0.3) appends.push(yield* Effect.forkChild(setNotes(), { startImmediately: true }))
    power.look()
    fail()
    if (random() < 0.1) known.incarnation = yield* store.renew()
    if (random() < 0.3) yield* erase(logs[Math.floor(random() * 2)]!, random() < 0.2)
    if (random() < 0.1) yield* cut(logs[Math.floor(random() * 2)]!)
    if (random() < 0.1) yield* rest
    power.look()
    fail()
    yield* Effect.forEach(appends.splice(0, Math.floor(random() * (appends.length + 1))), Fiber.join)
    for (const { to, ...said } of pending.splice(0)) {
      yield* using(to, (left) => check(left, known, said))
      fs.rmSync(to, { recursive: true })
    }
  })
  while (made < wanted) {
    // After a failure no power fails any more.
    yield* Effect.onError(step, () => Effect.sync(() => void (made = wanted)))
  }
  yield* Effect.forEach(appends, Fiber.join)
  yield* Scope.close(scope, Exit.void)
  yield* using(folder, (store) => check(store, known, known))
})

describe.skipIf(process.platform !== "linux")("a power loss", () => {
  for (let i = 0; i * imagesOfRun < images; i++) {
    it.live(
      `L54 costs nothing that was acknowledged, and shows nothing else than what was written (${i + 1})`,
      () => run(1000 + i, Math.min(imagesOfRun, images - i * imagesOfRun)),
      60_000
    )
  }
})
