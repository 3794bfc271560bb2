/**
 * A dashboard for Grafana. Its panels are written in the keys of the definitions, so none can show a metric that there
 * is not; `grafana/quorum.json` of this package is {@link render}.
 */
import { type Attribute, definitions, type Key, label, prometheus } from "./Definitions.ts"

/** One panel: a title, and what is asked of Prometheus. */
export interface Panel {
  readonly title: string
  readonly unit: "s" | "bytes" | "short" | "ops" | "Bps" | "percentunit"
  readonly queries: ReadonlyArray<{ readonly expr: string; readonly legend: string }>
}

const legendOf = (attributes: ReadonlyArray<Attribute>): string =>
  ["{{instance}}", ...attributes.map((attribute) => `{{${label(attribute)}}}`)].join(" ")

/** A gauge as it is. */
const gauge = (key: Key) => ({ expr: prometheus(key), legend: legendOf(definitions[key].attributes) })

/** A gauge as a share of what it may be. */
const share = (key: Key, limit: Key) => ({ expr: `${prometheus(key)} / ${prometheus(limit)}`, legend: "{{instance}}" })

/** What a query is of, where a panel has several. */
const named = <Q extends { readonly legend: string }>(name: string, query: Q): Q => ({
  ...query,
  legend: `${name} ${query.legend}`
})

/** A counter per second. */
const rate = (key: Key) => {
  const { attributes } = definitions[key]
  const by = ["instance", ...attributes.map(label)].join(", ")
  return { expr: `sum by (${by}) (rate(${prometheus(key)}[$__rate_interval]))`, legend: legendOf(attributes) }
}

/** A quantile of a histogram. */
const quantile = (key: Key, q: number) => {
  const { attributes } = definitions[key]
  const by = ["instance", ...attributes.map(label), "le"].join(", ")
  return {
    expr: `histogram_quantile(${q}, sum by (${by}) (rate(${prometheus(key)}_bucket[$__rate_interval])))`,
    legend: `p${q * 100} ${legendOf(attributes)}`
  }
}

/** The panels, row by row. */
export const rows: ReadonlyArray<{ readonly title: string; readonly panels: ReadonlyArray<Panel> }> = [
  {
    title: "Commits",
    panels: [
      { title: "Commits per second, by outcome", unit: "ops", queries: [rate("commits")] },
      { title: "Failures per second, by reason", unit: "ops", queries: [rate("failures")] },
      {
        title: "Commit duration",
        unit: "s",
        queries: [quantile("commitDuration", 0.5), quantile("commitDuration", 0.99)]
      },
      {
        title: "Time to a peer's ack, and to the last",
        unit: "s",
        queries: [quantile("ackDuration", 0.99), named("last", quantile("lastAckDuration", 0.99))]
      },
      { title: "Answers of peers per second", unit: "ops", queries: [rate("acks")] },
      { title: "Writes that wait", unit: "short", queries: [gauge("writesWaiting")] },
      { title: "Bytes that wait", unit: "bytes", queries: [gauge("waitingSize")] },
      {
        title: "What waits, of what may",
        unit: "percentunit",
        queries: [
          named("writes", share("writesWaiting", "writesLimit")),
          named("bytes", share("waitingSize", "waitingSizeLimit"))
        ]
      }
    ]
  },
  {
    title: "Peers",
    panels: [
      { title: "Peer is up", unit: "short", queries: [gauge("peerUp")] },
      { title: "Lag in entries", unit: "short", queries: [gauge("peerLag")] },
      { title: "Lag in seconds", unit: "s", queries: [gauge("peerLagTime")] },
      { title: "Lag in bytes", unit: "bytes", queries: [gauge("peerLagSize")] },
      {
        title: "Pushes in flight",
        unit: "short",
        queries: [gauge("peerPushes"), named("limit", gauge("peerPushesLimit"))]
      },
      {
        title: "Bytes in flight, and in connections",
        unit: "bytes",
        queries: [named("in flight", gauge("peerPushSize")), named("in the connection", gauge("peerConnectionSize"))]
      },
      { title: "Entries fetched per second", unit: "ops", queries: [rate("catchUpEntries")] },
      { title: "Bytes fetched per second", unit: "Bps", queries: [rate("catchUpSize")] },
      {
        title: "Links that came up and went down",
        unit: "ops",
        queries: [named("up", rate("peerConnects")), named("down", rate("peerLosses"))]
      },
      {
        title: "Refused, ended, rejected, drifted",
        unit: "ops",
        queries: [
          named("refused", rate("handshakesRefused")),
          named("ended", rate("connectionsEnded")),
          named("rejected", rate("peerRejections")),
          named("drifts", rate("drifts")),
          named("drifted", gauge("peerDrifted"))
        ]
      },
      {
        title: "Holds back what may be forgotten",
        unit: "s",
        queries: [gauge("peerHoldsBack"), named("stable time", gauge("stableTimeAge"))]
      },
      { title: "Away too long", unit: "short", queries: [gauge("peerAway")] },
      { title: "Clocks", unit: "s", queries: [gauge("peerSkew"), quantile("clockSkew", 0.99)] }
    ]
  },
  {
    title: "This replica",
    panels: [
      {
        title: "Append duration",
        unit: "s",
        queries: [quantile("appendDuration", 0.5), quantile("appendDuration", 0.99)]
      },
      {
        title: "Of that, until durable, and how long the disk stands still",
        unit: "s",
        queries: [quantile("syncDuration", 0.99), named("stands", gauge("diskStalled"))]
      },
      { title: "Entries per append", unit: "short", queries: [quantile("appendEntries", 0.5)] },
      { title: "Bytes per append", unit: "bytes", queries: [quantile("appendSize", 0.5)] },
      { title: "Entries held", unit: "short", queries: [gauge("logHead")] },
      {
        title: "Store",
        unit: "short",
        queries: [
          named("fault", gauge("storeFault")),
          named("puts refused", gauge("putsRefused")),
          named("damaged", gauge("damaged")),
          named("lost", gauge("lost")),
          named("mended", rate("mended")),
          named("failed appends", rate("appendFailures")),
          named("failed scrubs", rate("scrubFailures"))
        ]
      },
      {
        title: "Live, reclaimable, free in the files, and erased a second",
        unit: "bytes",
        queries: [
          named("free", gauge("storeFree")),
          named("live", gauge("liveSize")),
          named("reclaimable", gauge("reclaimableSize")),
          named("erased", rate("erasedSize"))
        ]
      },
      { title: "Since all was read again", unit: "s", queries: [gauge("scrubAge")] },
      {
        title: "Index delay",
        unit: "s",
        queries: [named("delay", gauge("indexDelay")), named("merge", quantile("mergeDuration", 0.99))]
      },
      {
        title: "Keys that wait for the index",
        unit: "short",
        queries: [named("waiting", gauge("indexWaiting")), named("merged a second", rate("mergeKeys"))]
      },
      {
        title: "Disk",
        unit: "bytes",
        queries: [
          named("store", gauge("storeSize")),
          named("disk, free", gauge("diskFree")),
          named("the store may take", gauge("storeLeft")),
          named("kept of it", gauge("storeReserve")),
          named("disk", gauge("diskSize"))
        ]
      },
      {
        title: "Event loop delay",
        unit: "s",
        queries: [named("p99", gauge("eventLoopDelay")), named("max", gauge("eventLoopDelayMax"))]
      },
      {
        title: "Which replica, and whether it may append and votes",
        unit: "short",
        queries: [named("is", gauge("info")), named("may append", gauge("recovered")), named("votes", gauge("voting"))]
      },
      {
        title: "Own clock that is not followed",
        unit: "s",
        queries: [named("held back", gauge("clockHeld"))]
      },
      {
        title: "Last ack of a peer",
        unit: "s",
        queries: [{ ...gauge("peerAckedAt"), expr: `time() - (${prometheus("peerAckedAt")} > 0)` }]
      }
    ]
  }
]

/** The dashboard as Grafana imports it. */
export const render = (): string => `${JSON.stringify(dashboard(), undefined, 2)}\n`

// ---------------------------------------------------------------------------------------------------------------------

const dashboard = () => {
  let y = 0
  let id = 0
  const panels = rows.flatMap(({ panels, title }) => {
    const row = { id: ++id, type: "row", title, collapsed: false, gridPos: { x: 0, y: y++, w: 24, h: 1 }, panels: [] }
    const placed = panels.map((panel, i) => drawn(panel, ++id, (i % 3) * 8, y + Math.floor(i / 3) * 8))
    y += Math.ceil(panels.length / 3) * 8
    return [row, ...placed]
  })
  return {
    title: "Quorum",
    uid: "quorum",
    tags: ["quorum"],
    schemaVersion: 39,
    refresh: "10s",
    time: { from: "now-1h", to: "now" },
    templating: { list: [{ name: "datasource", type: "datasource", query: "prometheus", label: "Prometheus" }] },
    panels
  }
}

const datasource = { type: "prometheus", uid: "${datasource}" }

const drawn = ({ queries, title, unit }: Panel, id: number, x: number, y: number) => ({
  id,
  type: "timeseries",
  title,
  datasource,
  gridPos: { x, y, w: 8, h: 8 },
  fieldConfig: { defaults: { unit }, overrides: [] },
  targets: queries.map(({ expr, legend }, i) => ({
    refId: String.fromCharCode(65 + i),
    datasource,
    expr,
    legendFormat: legend
  }))
})
