import assert from "node:assert/strict"
import { existsSync, globSync, readFileSync, statSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { dead } from "./dead.mjs"
import { examine, notRun } from "./examples.mjs"
import { bugs } from "./mutants-list.mjs"
import { plant, written } from "./mutants.mjs"
import { namesOf, strangers } from "./names.mjs"
import { houses, objections } from "./rooms.mjs"
import { failures } from "./test-summary.mjs"

test("an import that points downward, or stays in its room, is in order", () => {
  assert.deepEqual(objections("write/QuorumWriter.ts", 'import { Peers } from "../peer/Peers.ts"'), [])
  assert.deepEqual(objections("peer/Replication.ts", 'import * as Link from "./internal/LinkState.ts"'), [])
  assert.deepEqual(objections("peer/internal/LinkState.ts", 'import type { X } from "../PeerProtocol.ts"'), [])
})

test("an import that points upward is found, also when it is for a type", () => {
  assert.equal(objections("log/Entry.ts", 'import * as Peers from "../peer/Peers.ts"').length, 1)
  assert.equal(objections("identity/LogId.ts", 'import type { X } from "../quorum/Receipt.ts"').length, 1)
  assert.equal(objections("peer/Peers.ts", 'export * from "../Replica.ts"').length, 1)
})

test("an import of what is internal to another room, or of a room next door, is found", () => {
  assert.equal(objections("write/QuorumWriter.ts", 'import { x } from "../peer/internal/PushLoop.ts"').length, 1)
  assert.equal(objections("peer/Peers.ts", 'import { x } from "../record/Records.ts"').length, 1)
})

test("what peers say over HTTP and what clients ask know nothing of each other", () => {
  const wrongIn = (file, text) => objections(file, text, houses.http).length
  assert.equal(wrongIn("api/feeds.ts", 'import type { X } from "../peer/PeerMessage.ts"'), 1)
  assert.equal(wrongIn("peer/HttpPeerServer.ts", 'import { pathOf } from "../api/RequestRules.ts"'), 1)
  assert.equal(wrongIn("api/ClientApiServer.ts", 'import * as HttpNode from "../HttpNode.ts"'), 1)
  assert.equal(wrongIn("Another.ts", 'import * as PlainError from "./PlainError.ts"'), 1)
  assert.equal(wrongIn("HttpNode.ts", 'import * as HttpPeerServer from "./peer/HttpPeerServer.ts"'), 0)
  assert.equal(wrongIn("api/ClientRate.ts", 'import * as PlainError from "../PlainError.ts"'), 0)
})

test("what decides a quorum may know the types of Effect, and not use it", () => {
  assert.equal(objections("quorum/AckTracker.ts", 'import { Effect, Result } from "effect"').length, 1)
  assert.equal(objections("quorum/AckTracker.ts", 'import * as Layer from "effect/Layer"').length, 1)
  assert.deepEqual(objections("quorum/AckTracker.ts", 'import type { Effect } from "effect"'), [])
  assert.deepEqual(objections("quorum/AckTracker.ts", 'import * as Result from "effect/Result"'), [])
  assert.deepEqual(objections("log/Entry.ts", 'import { Effect } from "effect"'), [])
})

test("a block of code that names no file, or differs from its file, is found", () => {
  const exampleOf = () => "right()\n"
  assert.deepEqual(examine("<!-- a.ts -->\n\n```ts\nright()\n```", exampleOf).wrong, [])
  assert.equal(examine("```ts\nright()\n```", exampleOf).wrong.length, 1)
  const { right, wrong } = examine("<!-- a.ts -->\n\n```ts\nwrong()\n```", exampleOf)
  assert.equal(wrong.length, 1)
  assert.equal(right, "<!-- a.ts -->\n\n```ts\nright()\n```")
})

test("an example is run by a test of its package that imports it or starts it, and not by one that knows its type", () => {
  const example = "packages/core/test/readme/example.ts"
  const isRun = (text, file = "packages/core/test/readme.test.ts") => notRun([example], { [file]: text }).length === 0
  assert.ok(isRun('import { program } from "./readme/example.ts"'))
  assert.ok(isRun('import {\n  one,\n  two\n} from "./readme/example.ts"'))
  assert.ok(isRun('import "./readme/example.ts"'))
  assert.ok(isRun('const path = fileURLToPath(new URL("./readme/example.ts", import.meta.url))'))
  assert.ok(!isRun('import type { Place } from "./readme/example.ts"'))
  assert.ok(!isRun('// like "./readme/example.ts"'))
  assert.ok(!isRun('import { program } from "./readme/other-example.ts"'))
  assert.ok(!isRun('import { program } from "./readme/example.ts"', "packages/http/test/readme.test.ts"))
})

test("every file that the architecture names exists", () => {
  const root = fileURLToPath(new URL("..", import.meta.url))
  const text = readFileSync(`${root}docs/architecture.md`, "utf8")
  const names = Array.from(text.matchAll(/`([\w./-]+\.(?:ts|mjs))`/g), ([, name]) => name)
  assert.ok(names.length > 20)
  const exists = (name) =>
    existsSync(root + name) ||
    existsSync(`${root}packages/core/src/${name}`) ||
    existsSync(`${root}packages/sqlite/src/${name}`)
  assert.deepEqual(
    names.filter((name) => !exists(name)),
    []
  )
  const files = new Set(globSync("packages/*/src/**/*.ts", { cwd: root }).map((file) => file.split("/").pop()))
  const nouns = Array.from(text.matchAll(/`(\w+)`/g), ([, noun]) => noun).filter((noun) => /^[A-Z]\w+$/.test(noun))
  assert.deepEqual(
    nouns.filter((noun) => !files.has(`${noun}.ts`) && !["Log"].includes(noun)),
    []
  )
})

test("an export that is neither public nor named anywhere else is found", () => {
  const sources = { "a.ts": "export const used = 1\nexport const dead = 2\n", "b.ts": "a.used" }
  assert.deepEqual(
    dead(sources, () => false),
    ["a.ts: dead"]
  )
  assert.deepEqual(
    dead(sources, (_, name) => name === "dead"),
    []
  )
})

test("an import is found however it is written", () => {
  for (const line of [
    'import "../peer/Peers.ts"',
    'const peers = import("../peer/Peers.ts")',
    'type Peers = import("../peer/Peers.ts").Peers',
    "import { Peers } from '../peer/Peers.ts'",
    'import { Peers } from"../peer/Peers.ts"',
    '// what comes from "here\nimport { Peers } from "../peer/Peers.ts"',
    'import {\n  Peers,\n  type Link\n} from "../peer/Peers.ts"',
    "const peers = import(`../peer/Peers.ts`)",
    'const peers = require("../peer/Peers.ts")',
    'const files = "**/*.ts"\nimport { Peers } from "../peer/Peers.ts"\nconst end = "*/"',
    "const peers = import(where)",
    "const peers = import(`./${room}.ts`)"
  ]) {
    assert.equal(objections("log/Entry.ts", line).length, 1, line)
  }
})

test("what decides a quorum may use values of Effect, and nothing else of it", () => {
  for (const line of [
    'import * as Everything from "effect"',
    'import { Effect as E } from "effect"',
    'import { Deferred } from "effect"',
    'import * as Ref from "effect/Ref"',
    'export { Schedule } from "effect"',
    'import { HttpClient } from "effect/http"',
    'const all = import("effect")'
  ]) {
    assert.equal(objections("quorum/AckTracker.ts", line).length, 1, line)
  }
  assert.deepEqual(objections("quorum/AckTracker.ts", 'import { type Effect, Schema } from "effect"'), [])
})

test("what decides a quorum has no clock, no chance, no timer and no process, however they are come by", () => {
  for (const line of [
    "const now = Date.now()",
    "const chance = Math.random()",
    "setTimeout(decide, 1)",
    "const now = performance.now()",
    'import { cpus } from "node:os"'
  ]) {
    assert.equal(objections("quorum/AckTracker.ts", line).length, 1, line)
    assert.deepEqual(objections("log/Entry.ts", line), [], line)
  }
  assert.deepEqual(objections("quorum/AckTracker.ts", "// no Date.now()\nconst up = Math.max(1, update)"), [])
})

test("a block of code that can be run is found however it is fenced", () => {
  for (const fence of ["```ts title", "```js", "```mts", "~~~ts", "```TypeScript", "```javascript", "- ```tsx {1}"]) {
    assert.equal(examine(`${fence}\nwrong()\n`, () => "right()\n").wrong.length, 1, fence)
  }
  assert.deepEqual(examine("```sh\nls\n```\n```json\n{}\n```\n```\nts\n```", () => "").wrong, [])
})

test("a comment that names an export is no use of it, and a type can be dead as well", () => {
  const sources = { "a.ts": "/** {@link dead} */\nexport const dead = 1\nexport interface Gone {}", "b.ts": "// dead" }
  assert.deepEqual(
    dead(sources, () => false),
    ["a.ts: dead", "a.ts: Gone"]
  )
})

test("a face that exports anything but namespaces is found", () => {
  assert.deepEqual(strangers('export * as Entry from "./Entry.js";\nexport {};'), [])
  assert.equal(strangers("export declare const sneaked: number;").length, 1)
  assert.equal(strangers('export * from "./Entry.js";').length, 1)
  assert.deepEqual(strangers('export { Entry, type Place } from "./Entry.js";'), [])
  assert.equal(strangers("export { local };").length, 1)
})

test("names that a face has without a namespace are known too", () => {
  const face =
    'export { createClient, type Place } from "./Client.js";\nexport type { A as B } from "./A.js";\nexport {};'
  assert.deepEqual(namesOf(face), ["B", "Place", "createClient"])
})

test("L71 all packages have one version, and are each other's peers from that version on", () => {
  const read = (path) => JSON.parse(readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), "utf8"))
  const manifests = globSync("packages/*/package.json", { cwd: fileURLToPath(new URL("..", import.meta.url)) }).map(
    read
  )
  assert.deepEqual(read(".changeset/config.json").fixed, [["@quorum/*"]])
  assert.equal(new Set(manifests.map(({ version }) => version)).size, 1)
  for (const { dependencies = {}, name, peerDependencies = {} } of manifests) {
    assert.ok(name.startsWith("@quorum/"))
    const others = Object.entries({ ...dependencies, ...peerDependencies }).filter(([of]) => of.startsWith("@quorum/"))
    for (const [of, range] of others) assert.equal(range, "workspace:^", `${name} needs ${of}`)
  }
})

const tests = globSync(["{packages,apps}/*/test/**/*.ts", "packages/testing/src/**/*.ts", "tooling/*.test.mjs"], {
  cwd: fileURLToPath(new URL("..", import.meta.url))
}).map((file) => ({ file, text: readFileSync(new URL(`../${file}`, import.meta.url), "utf8") }))

test("every law is named by the title of a test that shows it, or says that there is none, and no other is named", () => {
  const rows = readFileSync(new URL("../docs/laws.md", import.meta.url), "utf8").match(/^\| L\d.*$/gm)
  const lawsOf = (text) => text.match(/\bL\d+\b/g)
  const [without, shown] = [true, false].map((none) =>
    rows.filter((row) => row.includes("no test") === none).flatMap((row) => lawsOf(row.split("|")[1]))
  )
  const titles = tests.flatMap(({ text }) => text.match(/["`]L\d+(?:,? L\d+)* /g) ?? [])
  const named = new Set(titles.flatMap(lawsOf))
  assert.ok(shown.length > 30)
  assert.deepEqual(
    shown.filter((law) => !named.has(law)),
    []
  )
  assert.deepEqual(
    [...named].filter((law) => !shown.includes(law)),
    []
  )
  assert.deepEqual(
    without.filter((law) => shown.includes(law)),
    []
  )
})

test("L49 a test accepts one outcome, but for those that meet a fault at any moment or in any place", () => {
  const atAnyMoment = /packages\/testing\/src\/internal\/|packages\/sqlite\/test\/damagedBits\.test\.ts/
  const several = tests
    .filter(({ text }) => /assert\.(?:oneOf\(|include\(\s*\[[^.]|isTrue\(.* instanceof \w+ \|\| )/.test(text))
    .map(({ file }) => file)
  assert.deepEqual(
    several.filter((file) => !atAnyMoment.test(file)),
    []
  )
})

/** The names of tests that are in backticks in a text: a word in backticks is none. */
const namesIn = (text) => (text.match(/`[^`]{20,}`/g) ?? []).map((name) => name.slice(1, -1))

/** The rows of promises in a document, each with its name and the tests that its last column names. */
const promisesIn = (text) =>
  (text.match(/^\| [A-Z][A-Za-z]+(?:,[^|]*)? \|.*\|$/gm) ?? []).map((row) => {
    const cells = row.split(" | ")
    return { name: cells[0].slice(2), shownBy: namesIn(cells.at(-1)) }
  })

/** The names of tests that stand in parentheses in a document. */
const testsInSentences = (text) => (text.match(/(?<=\()`[^`]{20,}`(?=\))/g) ?? []).flatMap(namesIn)

/** Whether a text has a test of a title which is run wherever tests are. */
const hasTest = (text, title) =>
  ['"', "`"].some((quote) => {
    const at = text.indexOf(`${quote}${title}${quote}`)
    return at >= 0 && !/\.(?:skip|todo|skipIf\(.*\)|runIf\(.*\))\(\s*$/.test(text.slice(0, at))
  })

test("every promise is named once and shown by a test, and every test that is named exists and is not skipped", () => {
  const text = readFileSync(new URL("../docs/guarantees.md", import.meta.url), "utf8")
  const promises = promisesIn(text)
  assert.ok(promises.length > 25)
  assert.equal(new Set(promises.map(({ name }) => name)).size, promises.length)
  assert.deepEqual(
    promises.filter(({ shownBy }) => shownBy.length === 0),
    []
  )
  const others = tests.filter(({ file }) => !file.startsWith("tooling/"))
  const named = [...promises.flatMap(({ shownBy }) => shownBy), ...testsInSentences(text)]
  assert.deepEqual(
    named.filter((title) => !others.some(({ text }) => hasTest(text, title))),
    []
  )
})

test("a test that a promise names is found in its row and in its sentence, and a word in backticks is none", () => {
  const row = "| Aa, of b | It holds what `commit` said. | `holds all of what it said`, `and says it again, too` |"
  const none = "| None | It holds `what nobody shows at all`. | `commit` |"
  assert.deepEqual(promisesIn(`${row}\n| --- | --- | --- |\n${none}\n`), [
    { name: "Aa, of b", shownBy: ["holds all of what it said", "and says it again, too"] },
    { name: "None", shownBy: [] }
  ])
  const sentence = "Held whole (`are held whole or not at all`), `W = N` or not (`w`)."
  assert.deepEqual(testsInSentences(sentence), ["are held whole or not at all"])
})

test("a test that is skipped, somewhere or everywhere, shows nothing", () => {
  assert.ok(hasTest('it.effect("a title", () => 1)', "a title"))
  assert.ok(hasTest("it(\n  `a title`,\n  () => 1)", "a title"))
  for (const how of ["it.skip", "it.live.skip", "it.todo", "it.skipIf(!canTrace())", "it.live.runIf(isLinux)"]) {
    assert.ok(!hasTest(`${how}(\n  "a title", () => 1)`, "a title"), how)
  }
  assert.ok(!hasTest('it("another title", () => 1)', "a title"))
})

test("every bug that the simulator is tried with has its one place in the code", () => {
  const source = (file) => readFileSync(new URL(`../packages/core/src/${file}`, import.meta.url), "utf8")
  for (const { name, changes, ...change } of bugs) {
    for (const one of changes ?? [change]) assert.notEqual(plant(source(one.file), { name, ...one }), source(one.file))
  }
})

test("every bug that the simulator is tried with has its row in the table", () => {
  const rows = readFileSync(new URL("../docs/simulation.md", import.meta.url), "utf8").split("\n")
  assert.deepEqual(
    bugs.map(({ name }) => name).filter((name) => !rows.some((row) => row.startsWith(`| ${name} | `))),
    []
  )
})

test("the table keeps the rows of bugs that were not looked for, and what is said of the last run of all, and of tests", () => {
  const [first, second] = bugs
  const text = (lines) =>
    [
      "before",
      "<!-- mutants: written by `npx -y pnpm@12 mutants --write` -->",
      ...lines,
      "<!-- end of mutants -->"
    ].join("\n")
  const found = { law: "Liveness", seed: 7, replicas: 3, runs: 7, seconds: 1.6 }
  const row = `| ${first.name} | ${first.from} | ${first.says} | Liveness | 7 (3) | 2 s |`
  const old = `| ${second.name} | from | what | Convergence | 1 (3) |`
  const part = written(text(["", old, "", "The last run of all was on 2026-11-27.", ""]), [{ bug: first, found }])
  assert.ok(part.includes(`| --- |\n${row}\n${old} |\n\nThe last run of all was on 2026-11-27.\n\n<!--`), part)
  const whole = written(part, [{ bug: second, found: { runs: 9, seconds: 60 } }], "2026-11-28, of commit abc1234.")
  assert.ok(
    whole.includes(`${row}\n| ${second.name} | ${second.from} | ${second.says} | **survived** 9 runs | | 60 s |\n`)
  )
  assert.ok(whole.includes("\n\nThe last run of all was on 2026-11-28, of commit abc1234.\n\n<!--"), whole)
  assert.ok(!whole.includes("2026-11-27"))
  const byTest = { law: "A.test.ts", test: "a sentence", runs: 9, seconds: 61 }
  const tested = written(whole, [{ bug: second, found: byTest }])
  assert.ok(tested.includes(`| ${second.says} | A.test.ts: a sentence | none of 9 runs | 61 s |\n`), tested)
})

test("what an attack found is planted, or names a test that exists", () => {
  const text = readFileSync(new URL("../docs/simulation.md", import.meta.url), "utf8")
  const [, section] = text.split("### What an attack on running replicas found")
  const [seen] = section.split("\n### ")
  const rows = seen.split("\n").filter((line) => line.startsWith("| "))
  assert.equal(rows.length, 2 + 15)
  for (const row of rows.slice(2)) {
    const [, planted, otherwise] = row.slice(2).split("|")
    const names = planted.split(",").flatMap((name) => name.trim() || [])
    assert.ok(names.length > 0 || namesIn(otherwise).length > 0, row)
    for (const name of names)
      assert.ok(
        bugs.some((bug) => bug.name === name),
        name
      )
  }
  for (const title of namesIn(seen))
    assert.ok(
      tests.some(({ text }) => text.includes(title)),
      title
    )
})

/** What the headings of a document are called in links, as GitHub makes it. */
const anchorsOf = (text) =>
  Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-")
  )

test("every link of a document leads somewhere, and of one that is published from where it is installed too", () => {
  const root = fileURLToPath(new URL("..", import.meta.url))
  const published = globSync("packages/*/{README.md,recipes/README.md}", { cwd: root })
  const others = globSync(["*.md", "docs/**/*.md", "apps/*/README.md"], { cwd: root })
  const ours = /^https:\/\/github\.com\/quorum-write\/quorum\/(?:blob|tree)\/main\//
  const wrong = []
  for (const file of [...published, ...others]) {
    const text = readFileSync(join(root, file), "utf8").replaceAll(/```[^]*?```/g, "")
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link) && !ours.test(link)) continue
      const [path, anchor] = link.replace(ours, "").split("#")
      const target = path === "" ? file : ours.test(link) ? path : normalize(join(dirname(file), path))
      if (!existsSync(join(root, target))) wrong.push(`${file}: ${link} leads nowhere`)
      else if (published.includes(file) && !ours.test(link) && !target.startsWith(file.split("/", 2).join("/"))) {
        wrong.push(`${file}: ${link} is not in the package`)
      } else if (anchor !== undefined) {
        const document = statSync(join(root, target)).isDirectory() ? `${target}/README.md` : target
        if (!anchorsOf(readFileSync(join(root, document), "utf8")).includes(anchor))
          wrong.push(`${file}: ${link}: no such heading`)
      }
    }
  }
  assert.deepEqual(wrong, [])
})

test("the sum of all tests tells once more which failed and why, and which file did not load", () => {
  const file = (name, assertionResults, message = "") => ({
    name: fileURLToPath(new URL(`../${name}`, import.meta.url)),
    status: "failed",
    message,
    assertionResults
  })
  const long = Array.from({ length: 100 }, (_, at) => `\u001b[31mline ${at}`).join("\n")
  assert.deepEqual(
    failures([
      { ...file("a.test.ts", [{ status: "passed", fullName: "fine", failureMessages: [] }]), status: "passed" },
      file("packages/b.test.ts", [
        { status: "passed", fullName: "fine", failureMessages: [] },
        {
          status: "failed",
          fullName: "says so",
          failureMessages: ["expected 1\nto be 2\n    at it (node_modules/x.js:1:1)"]
        }
      ]),
      file("c.test.ts", [], "no such module")
    ]),
    [
      "FAILED packages/b.test.ts: says so",
      "    expected 1",
      "    to be 2",
      "FAILED c.test.ts: it did not load",
      "    no such module"
    ]
  )
  const told = failures([file("d.test.ts", [{ status: "failed", fullName: "long", failureMessages: [long] }])])
  assert.equal(told.length, 11)
  assert.equal(told[1], "    line 0")
  // Of what is thrown and is no error, Vitest has no message.
  const [, thrown] = failures([file("e.test.ts", [{ status: "failed", fullName: "odd", failureMessages: [null] }])])
  assert.equal(thrown, "    what was thrown is no error; the output of the package says it")
})
