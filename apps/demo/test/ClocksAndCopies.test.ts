/** What clocks that are wrong and copies of stores do to a replica set of real processes, on real files. */
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Set from "./support/set.ts"

const timeout = 240_000

type Made = Effect.Success<ReturnType<typeof Set.make>>
const ids = ["a", "b", "c"] as const

const get = (url: string) =>
  Effect.promise(async () => {
    const answer = await fetch(url)
    return { status: answer.status, text: await answer.text() }
  })

/** Tries every 50 ms until it holds. */
const until = <A>(look: Effect.Effect<A>, holds: (found: A) => boolean): Effect.Effect<A> => {
  let last: A | undefined
  const again = Effect.tap(look, (found) =>
    Effect.andThen(
      Effect.sync(() => void (last = found)),
      Effect.sleep(50)
    )
  )
  return Effect.timeoutOrElse(Effect.repeat(again, { until: holds }), {
    duration: 60_000,
    orElse: () => Effect.die(new Error(`not so after a minute: ${JSON.stringify(last)}`))
  })
}

interface Status {
  readonly voting: boolean
  readonly log: string
  readonly obstacle: string | null
  readonly clockHeldMillis: number
  readonly clock: { readonly wallTime: number }
  readonly givenUp: ReadonlyArray<{ readonly log: string; readonly after: number; readonly because: string }>
  readonly peers: ReadonlyArray<{
    readonly link: string
    readonly drifted: ReadonlyArray<string>
    readonly voting: boolean
  }>
}

const statusAt = (url: string) => Effect.map(get(`${url}/v1/status`), ({ text }) => JSON.parse(text) as Status)

const status = ({ urls }: Made, id: Set.Id) => statusAt(urls[id])

const read = ({ urls }: Made, id: Set.Id, key: string) =>
  Effect.map(get(`${urls[id]}/v1/records/notes/${key}`), ({ status, text }) => (status === 200 ? text : `${status}`))

/** Writes a value, and returns the id of the write. */
const put = ({ urls }: Pick<Made, "urls">, id: Set.Id, key: string, value: string) =>
  Effect.promise(async () => {
    const answer = await fetch(`${urls[id]}/v1/records/notes/${key}`, { method: "PUT", body: value })
    const { writeId } = (await answer.json()) as { readonly writeId: string }
    assert.strictEqual(answer.status, 201)
    return writeId
  })

/** Waits until replicas vote and know of each other. */
const together = (set: Made, of: ReadonlyArray<Set.Id>) =>
  Effect.forEach(of, (id) =>
    until(
      status(set, id),
      ({ peers, voting }) => voting && peers.filter((peer) => peer.link === "up" && peer.voting).length >= of.length - 1
    )
  )

/** Starts replicas beside each other: each takes its time. */
const starting = (set: Made, of: ReadonlyArray<Set.Id>, how?: (id: Set.Id) => Set.Start) =>
  Effect.forEach(of, (id) => set.start(id, how?.(id)), { concurrency: "unbounded", discard: true })

/** All are up, and what is written to them is known to all. */
const started = Effect.gen(function* () {
  const set = yield* Set.make("real-time")
  yield* starting(set, ids)
  yield* together(set, ids)
  return set
})

/** Waits until every replica shows the same under a key. */
const everywhere = (set: Made, key: string, value: string) =>
  Effect.forEach(ids, (id) => until(read(set, id, key), (found) => found === value))

const isFaked = Set.ahead(1) !== undefined

describe("clocks that are wrong", () => {
  const cases: ReadonlyArray<readonly [what: string, clocks: Partial<Record<Set.Id, number>>]> = [
    ["ten years ahead for one write", { a: 315_360_000 }],
    ["an hour behind where the second write is made", { c: -3600 }],
    ["20 seconds behind, of which nobody is warned", { c: -20 }]
  ]
  for (const [what, clocks] of cases) {
    it.live.skipIf(!isFaked)(
      `L51 LaterWins: that is ${what} hides no later write, and moves no other (skipped without Debian's \`faketime\`)`,
      () =>
        Effect.gen(function* () {
          const set = yield* started
          for (const id of ["a", "c"] as const) yield* set.stop(id)
          // There is no path between a and c: what the one writes gets to the other by b, a heartbeat later.
          yield* starting(set, ["a", "c"], (id) => ({
            reaches: ["b"],
            env: clocks[id] === undefined ? {} : Set.ahead(clocks[id])!
          }))
          for (const id of ["a", "c"] as const) {
            yield* until(status(set, id), ({ peers, voting }) => voting && peers.some(({ link }) => link === "up"))
          }
          yield* until(status(set, "b"), ({ peers }) => peers.every(({ link }) => link === "up"))
          yield* Effect.all([put(set, "a", "gone", "first"), put(set, "c", "another", "value")], { concurrency: 2 })
          yield* put(set, "a", "k", "first")
          yield* put(set, "c", "k", "second")
          yield* Effect.promise(() => fetch(`${set.urls.c}/v1/records/notes/gone`, { method: "DELETE" }))
          if ("a" in clocks) assert.isAbove((yield* status(set, "a")).clockHeldMillis, 0)
          assert.isBelow((yield* status(set, "b")).clock.wallTime, Date.now() + 120_000)
          for (const id of ["a", "c"] as const) yield* set.stop(id)
          yield* starting(set, ["a", "c"])
          yield* together(set, ids)
          yield* everywhere(set, "k", "second")
          yield* everywhere(set, "gone", "404")
          assert.isBelow((yield* status(set, "a")).clock.wallTime, Date.now() + 120_000)
        }),
      timeout
    )
  }
})

/** Puts what was in a folder back into the very files that are there, which nothing gives away; the index is derived. */
const putBack = (from: string, folder: string): void => {
  for (const name of readdirSync(folder)) {
    if (name.startsWith("index")) rmSync(join(folder, name), { recursive: true })
    else if (existsSync(join(from, name))) writeFileSync(join(folder, name), readFileSync(join(from, name)))
    else rmSync(join(folder, name), { recursive: true })
  }
}

describe("OneEntryPerPlace: an older copy of a folder", () => {
  it.live(
    "L53 RecoveringDoesNotVote: that is put back while the others stand still gives no place away, and misses nothing in the end",
    () =>
      Effect.gen(function* () {
        const set = yield* started
        yield* put(set, "a", "k0", "0")
        yield* set.stop("a")
        const older = `${set.folders.a}-older`
        cpSync(set.folders.a, older, { recursive: true })
        yield* set.start("a")
        yield* together(set, ids)
        const given = yield* Effect.forEach(["1", "2", "3"], (value) => put(set, "a", `k${value}`, value))
        yield* set.signal("a", "SIGKILL")
        rmSync(set.folders.a, { recursive: true })
        cpSync(older, set.folders.a, { recursive: true })
        for (const id of ["b", "c"] as const) yield* set.signal(id, "SIGSTOP")
        yield* set.start("a")
        assert.isFalse((yield* status(set, "a")).voting)
        assert.isAtLeast(yield* set.put("a", "k4", "4"), 500)
        for (const id of ["b", "c"] as const) yield* set.signal(id, "SIGCONT")
        yield* together(set, ids)
        const writeId = yield* put(set, "a", "k5", "5")
        assert.notInclude(given, writeId)
        assert.notStrictEqual(writeId.split(":")[0], given[0]!.split(":")[0])
        for (const value of ["0", "1", "2", "3", "5"]) yield* everywhere(set, `k${value}`, value)
      }),
    timeout
  )

  it.live(
    "L53 that is put back in place while who knows better is away forks the log, and both sides are kept on all replicas",
    () =>
      Effect.gen(function* () {
        const set = yield* started
        yield* put(set, "a", "k0", "0")
        yield* everywhere(set, "k0", "0")
        yield* set.stop("c")
        yield* set.stop("a")
        const older = `${set.folders.a}-older`
        cpSync(set.folders.a, older, { recursive: true })
        yield* set.start("a")
        yield* together(set, ["a", "b"])
        const first = yield* put(set, "a", "k1", "1")
        yield* put(set, "a", "k2", "2")
        yield* set.signal("a", "SIGKILL")
        yield* set.stop("b")
        putBack(older, set.folders.a)
        yield* starting(set, ["a", "c"])
        yield* together(set, ["a", "c"])
        const other = yield* put(set, "a", "k3", "3")
        const place = (id: string) => id.split(".")[0]
        assert.strictEqual(place(other), place(first), "the log did not fork")
        yield* set.start("b")
        yield* together(set, ids)
        for (const value of ["0", "1", "2", "3"]) yield* everywhere(set, `k${value}`, value)
        for (const id of ids) {
          yield* until(status(set, id), ({ peers }) => peers.every(({ drifted }) => drifted.length === 0))
          assert.strictEqual((yield* get(`${set.urls[id]}/v1/writes/${encodeURIComponent(first)}`)).status, 200)
          const gone = yield* get(`${set.urls[id]}/v1/writes/${encodeURIComponent(other)}`)
          assert.deepStrictEqual([gone.status, JSON.parse(gone.text).error], [409, "write_replaced"])
        }
        const told = (yield* Effect.forEach(ids, (id) => status(set, id))).map(({ givenUp }) => givenUp[0]?.because)
        assert.deepStrictEqual(told, ["fork", undefined, "fork"])
        yield* put(set, "a", "k4", "4")
      }),
    timeout
  )

  it.live(
    "L53 that is started beside the first is refused by whoever knows that, and takes no write; the first hears of it, and goes on",
    () =>
      Effect.gen(function* () {
        const set = yield* started
        yield* put(set, "a", "k0", "0")
        const folder = `${set.folders.a}-second`
        cpSync(set.folders.a, folder, { recursive: true })
        const before = yield* status(set, "a")
        // There is no path between the copy and b.
        yield* set.start("a", { second: folder, reaches: ["c"] })
        const { obstacle, voting } = yield* until(statusAt(set.second), ({ obstacle }) =>
          String(obstacle).startsWith("another live process")
        )
        assert.deepStrictEqual([obstacle, voting], ["another live process has the id a, says c", false])
        const refused = yield* Effect.promise(() =>
          fetch(`${set.second}/v1/records/notes/k1`, { method: "PUT", body: "copy" })
        )
        assert.strictEqual(refused.status, 503)
        const writeId = yield* put(set, "a", "k1", "1")
        assert.strictEqual(writeId.split(":")[0], before.log)
        yield* set.wrote("a", "another live process has the id a: c has refused it")
        assert.isTrue((yield* status(set, "a")).voting)
        yield* everywhere(set, "k1", "1")
      }),
    timeout
  )
})

/** A copy of a folder that is at home where it is, as one in a snapshot of a file system is: nothing gives it away. */
const twinOf = (folder: string): string => {
  const twin = `${folder}-twin`
  cpSync(folder, twin, { recursive: true })
  for (const name of readdirSync(twin)) if (name.startsWith("index")) rmSync(join(twin, name), { recursive: true })
  const file = join(twin, "log.db")
  const { birthtimeNs, ino } = statSync(file, { bigint: true })
  const db = new DatabaseSync(file)
  const note = db.prepare("UPDATE note SET value = ? WHERE name = ?")
  // What is closed here in order has no write-ahead log.
  const changed = [note.run(`${ino} ${birthtimeNs}`, "place"), note.run("", "wal")]
  db.close()
  assert.deepStrictEqual(
    changed.map(({ changes }) => changes),
    [1, 1]
  )
  return twin
}

/** Whether a replica may write, and votes. */
const writes = ({ obstacle, voting }: Status): boolean => voting && obstacle === null

describe("OneEntryPerPlace: two processes of one and the same incarnation", () => {
  it.live(
    "L53 the second is refused by all, and takes no write; when the first ends it takes its place, and gives none of its places away",
    () =>
      Effect.gen(function* () {
        const set = yield* started
        yield* put(set, "a", "k0", "0")
        const { log } = yield* status(set, "a")
        const folder = twinOf(set.folders.a)
        yield* set.start("a", { second: folder })
        const {
          log: same,
          obstacle,
          voting
        } = yield* until(statusAt(set.second), ({ obstacle }) => String(obstacle).endsWith("says b, c"))
        assert.deepStrictEqual([same, obstacle, voting], [log, "another live process has the id a, says b, c", false])
        const refused = yield* Effect.promise(() =>
          fetch(`${set.second}/v1/records/notes/k1`, { method: "PUT", body: "second" })
        )
        assert.strictEqual(refused.status, 503)
        const first = yield* put(set, "a", "k1", "1")
        assert.strictEqual(first.split(":")[0], log)
        yield* set.wrote("a", "another live process has the id a: b has refused it")
        assert.isTrue(writes(yield* status(set, "a")))
        yield* set.signal("a", "SIGKILL")
        yield* until(statusAt(set.second), writes)
        const next = yield* put({ urls: { ...set.urls, a: set.second } }, "a", "k2", "2")
        assert.notStrictEqual(next.split(":")[0], log)
        for (const id of ["b", "c"] as const) {
          for (const value of ["0", "1", "2"]) yield* until(read(set, id, `k${value}`), (found) => found === value)
          assert.strictEqual((yield* get(`${set.urls[id]}/v1/writes/${encodeURIComponent(first)}`)).status, 200)
        }
      }),
    timeout
  )

  it.live(
    "L53 the second takes the place of a first that hangs, and when that wakes one of the two goes on, and no write is lost",
    () =>
      Effect.gen(function* () {
        const set = yield* started
        yield* put(set, "a", "k0", "0")
        const folder = twinOf(set.folders.a)
        yield* set.signal("a", "SIGSTOP")
        yield* set.start("a", { second: folder })
        yield* until(statusAt(set.second), writes)
        const given = yield* put({ urls: { ...set.urls, a: set.second } }, "a", "k1", "1")
        yield* set.signal("a", "SIGCONT")
        // Each outlives the other in turn, until the one that began later has done so too often.
        const stopped = yield* until(statusAt(set.second), ({ obstacle }) =>
          String(obstacle).endsWith("and this one began later")
        )
        assert.isFalse(stopped.voting)
        yield* until(status(set, "a"), writes)
        yield* put(set, "a", "k2", "2")
        for (const value of ["0", "1", "2"]) yield* everywhere(set, `k${value}`, value)
        for (const id of ids) {
          assert.strictEqual((yield* get(`${set.urls[id]}/v1/writes/${encodeURIComponent(given)}`)).status, 200)
        }
      }),
    timeout
  )
})
