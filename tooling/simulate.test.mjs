// How far a run of `simulate` has come is kept and taken up again.
import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { open } from "./simulate-progress.mjs"

const wanted = { commit: "abc1234", firstSeed: 1, seeds: 30 }

/** What came of a part of ten runs, with `crash` that many times. */
const part = (crashes) => ({
  scenarios: Array.from({ length: 10 }, () => ({ nemesis: { kinds: ["crash"] } })),
  operations: 100,
  virtualMillis: 1000,
  faults: new Map([["crash", crashes]]),
  broken: []
})

const within = (use) => {
  const folder = mkdtempSync(join(tmpdir(), "quorum-progress-"))
  try {
    use(join(folder, "progress.json"))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test("parts that end out of order are added up in order, so that what is kept has no gap", () =>
  within((file) => {
    const progress = open(file, wanted)
    progress.take(1, part(2))
    progress.save(5)
    assert.equal(JSON.parse(readFileSync(file, "utf8")).figures.taken, 0)
    progress.take(0, part(1))
    assert.equal(progress.figures.taken, 20)
    assert.deepEqual(progress.figures.faults, { crash: 3 })
  }))

test("a run that was stopped goes on with its figures and its time", () =>
  within((file) => {
    const first = open(file, wanted)
    first.take(0, part(1))
    first.save(5)
    const second = open(file, wanted)
    second.take(0, part(4))
    second.save(7)
    const { figures } = open(file, wanted)
    assert.deepEqual([figures.runs, figures.operations, figures.seconds, figures.faults.crash], [20, 200, 12, 5])
  }))

test("what was kept of another run is refused", () =>
  within((file) => {
    open(file, wanted).save(1)
    assert.throws(() => open(file, { ...wanted, seeds: 31 }), /is of another run/)
  }))

test("what was kept of another commit is refused, and of one that was changed since, by their names", () =>
  within((file) => {
    open(file, wanted).save(1)
    for (const commit of ["def5678", "abc1234, changed"]) {
      assert.throws(() => open(file, { ...wanted, commit }), {
        message:
          `${file} was begun on commit abc1234, and this is ${commit}: ` +
          "what it counts is of one code; go on there, or name another file"
      })
    }
  }))
