import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, expect, it } from "@effect/vitest"
import { PeerProtocol } from "@quorum/core/adapter"
import * as Alerts from "../src/Alerts.ts"
import * as Dashboard from "../src/Dashboard.ts"
import * as Definitions from "../src/Definitions.ts"
import * as Counting from "../src/internal/Counting.ts"
import { isInstalled, run } from "./support/program.ts"
import * as Replicas from "./support/replicas.ts"
import * as Rules from "./support/rules.ts"

const path = (name: string): string => new URL(`../${name}`, import.meta.url).pathname

/** Every name in an expression that can only be a metric's. */
const metricsIn = (expr: string): ReadonlyArray<string> =>
  Array.from(expr.matchAll(/\b(?:quorum|replication|nodejs)_\w+/g), ([name]) => name).filter(
    (name) => !labels.has(name)
  )

const labels = new Set(Definitions.all.flatMap(({ attributes }) => attributes.map(Definitions.label)))

const known = new Set(
  Definitions.all.flatMap((definition) => {
    const name = Definitions.prometheusName(definition)
    return definition.kind === "histogram" ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name]
  })
)

describe("the files of the package", () => {
  // `vitest run -u` writes the files anew.
  it("the alert rules are those of the code", () =>
    expect(Alerts.render()).toMatchFileSnapshot(path("prometheus/alerts.yml")))

  it("the dashboard is that of the code", () =>
    expect(Dashboard.render()).toMatchFileSnapshot(path("grafana/quorum.json")))

  it("the README has the table of metrics", () => {
    assert.include(readFileSync(path("README.md"), "utf8"), Definitions.markdown().join("\n"))
  })

  it("alerts and panels name only metrics that there are (law L44)", () => {
    const panels = Dashboard.rows.flatMap((row) => row.panels.flatMap(({ queries }) => queries))
    const named = [...Alerts.alerts(), ...panels].flatMap(({ expr }) => metricsIn(expr))
    assert.isAbove(named.length, 40)
    assert.deepStrictEqual(
      named.filter((name) => !known.has(name)),
      []
    )
  })

  it("the dashboard shows every metric", () => {
    const shown = Dashboard.rows.flatMap((row) =>
      row.panels.flatMap(({ queries }) => queries.flatMap(({ expr }) => metricsIn(expr)))
    )
    const names = Definitions.all.map(Definitions.prometheusName)
    assert.deepStrictEqual(
      names.filter((name) => !shown.some((found) => found === name || found === `${name}_bucket`)),
      []
    )
  })

  it("a test looks at every metric in a replica set that runs (law L44)", () => {
    const sources = ["ReplicaMetrics", "Faults", "Prometheus"].map((name) =>
      readFileSync(path(`test/${name}.test.ts`), "utf8")
    )
    const looksAt = (key: string, name: string): boolean =>
      sources.some((source) => source.includes(`"${key}"`) || source.includes(`"${name}`))
    assert.deepStrictEqual(
      Replicas.keys.filter((key) => !looksAt(key, Definitions.prometheus(key))),
      []
    )
  })

  it("docs/operations.md explains every alert", () => {
    const operations = readFileSync(path("../../docs/operations.md"), "utf8")
    const headings = new Set(Array.from(operations.matchAll(/^### (\w+)$/gm), ([, name]) => name!))
    assert.deepStrictEqual(
      Alerts.alerts()
        .map(({ name }) => name)
        .filter((name) => !headings.has(name)),
      []
    )
  })

  it("docs/operations.md says of every reason that an alert may name what to do", () => {
    const operations = readFileSync(path("../../docs/operations.md"), "utf8")
    const refused = PeerProtocol.HandshakeRefused.fields.reason.literals
    for (const [alert, reasons] of [
      ["QuorumCommitsFailing", Counting.failureReasons],
      ["QuorumStoreFault", Counting.storeReasons],
      ["QuorumHandshakesRefused", [...refused, "unproven", "not_the_protocol", "silent", "web_page"]]
    ] as const) {
      const text = operations.split(/^### /m).find((section) => section.startsWith(`${alert}\n`)) ?? ""
      assert.deepStrictEqual(
        reasons.filter((reason) => !text.includes(`\`${reason}\``)),
        [],
        alert
      )
    }
  })

  describe.skipIf(!isInstalled("promtool"))(
    "by promtool (skipped where Debian's `prometheus` is not installed)",
    () => {
      it("the rules are valid", () => {
        const { said, status } = run("promtool", ["check", "rules", path("prometheus/alerts.yml")])
        assert.strictEqual(status, 0, said)
        assert.include(said, `${Alerts.alerts().length} rules found`)
      })

      it(
        "each rule fires for its reason and for no other, not while all is well, and not any more afterwards",
        {
          timeout: 60_000
        },
        () => {
          assert.deepStrictEqual(
            Rules.illnesses.map(({ alert }) => alert),
            Alerts.alerts().map(({ name }) => name)
          )
          const folder = mkdtempSync(join(tmpdir(), "quorum-rules-"))
          try {
            writeFileSync(join(folder, "tests.yml"), Rules.tests(path("prometheus/alerts.yml")))
            const { said, status } = run("promtool", ["test", "rules", join(folder, "tests.yml")])
            assert.strictEqual(status, 0, said)
          } finally {
            rmSync(folder, { recursive: true })
          }
        }
      )

      it("the rules fire when they should, and not before", () => {
        const { said, status } = run("promtool", ["test", "rules", path("test/rules.yml")])
        assert.strictEqual(status, 0, said)
      })
    }
  )
})
