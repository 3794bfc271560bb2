/**
 * A dashboard for Grafana. Its panels are written in the keys of the definitions, so none can show a metric that there
 * is not; `grafana/quorum.json` of this package is {@link render}.
 */
import { type Attribute, definitions, type Key, label, prometheus } from "./Definitions.ts"

/** One panel: a title, and what is asked of Prometheus. */
export interface Panel {
  readonly title: string
  readonly unit: "s" | "bytes" | "short" | "ops" | "Bps"
  readonly queries: ReadonlyArray<{ readonly expr: string; readonly legend: string }>
}

const legendOf = (attributes: ReadonlyArray<Attribute>): string =>
  ["{{instance}}", ...attributes.map((attribute) => `{{${label(attribute)}}}`)].join(" ")

/** A gauge as it is. */
const gauge = (key: Key) => ({ expr: prometheus(key), legend: legendOf(definitions[key].attributes) })

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
        queries: [quantile("ackDuration", 0.99), quantile("lastAckDuration", 0.99)]
      },
      { title: "Answers of peers per second", unit: "ops", queries: [rate("acks")] },
      { title: "Writes that wait", unit: "short", queries: [gauge("writesWaiting"), gauge("writesLimit")] },
      { title: "Bytes that wait", unit: "bytes", queries: [gauge("waitingSize"), gauge("waitingSizeLimit")] }
    ]
  },
  {
    title: "Peers",
    panels: [
      { title: "Peer is up", unit: "short", queries: [gauge("peerUp")] },
      { title: "Lag in entries", unit: "short", queries: [gauge("peerLag")] },
      { title: "Lag in seconds", unit: "s", queries: [gauge("peerLagTime")] },
      { title: "Lag in bytes", unit: "bytes", queries: [gauge("peerLagSize")] },
      { title: "Pushes in flight", unit: "short", queries: [gauge("peerPushes"), gauge("peerPushesLimit")] },
      {
        title: "Bytes in flight, and in connections",
        unit: "bytes",
        queries: [gauge("peerPushSize"), gauge("peerConnectionSize")]
      },
      { title: "Entries fetched per second", unit: "ops", queries: [rate("catchUpEntries")] },
      { title: "Bytes fetched per second", unit: "Bps", queries: [rate("catchUpSize")] },
      { title: "Links that came up and went down", unit: "ops", queries: [rate("peerConnects"), rate("peerLosses")] },
      {
        title: "Refused, rejected, drifted",
        unit: "ops",
        queries: [rate("handshakesRefused"), rate("peerRejections"), rate("drifts"), gauge("peerDrifted")]
      },
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
      { title: "Of that, until durable", unit: "s", queries: [quantile("syncDuration", 0.99)] },
      { title: "Entries per append", unit: "short", queries: [quantile("appendEntries", 0.5)] },
      { title: "Bytes per append", unit: "bytes", queries: [quantile("appendSize", 0.5)] },
      { title: "Entries held", unit: "short", queries: [gauge("logHead")] },
      { title: "Store", unit: "short", queries: [gauge("storeFault"), gauge("damaged"), rate("appendFailures")] },
      { title: "Index delay", unit: "s", queries: [gauge("indexDelay"), quantile("mergeDuration", 0.99)] },
      { title: "Keys that wait for the index", unit: "short", queries: [gauge("indexWaiting"), rate("mergeKeys")] },
      { title: "Disk", unit: "bytes", queries: [gauge("storeSize"), gauge("diskFree"), gauge("diskSize")] },
      { title: "Event loop delay", unit: "s", queries: [gauge("eventLoopDelay"), gauge("eventLoopDelayMax")] },
      {
        title: "Which replica, and whether it may append",
        unit: "short",
        queries: [gauge("info"), gauge("recovered")]
      },
      {
        title: "Last ack of a peer",
        unit: "s",
        queries: [{ ...gauge("peerAckedAt"), expr: `time() - ${prometheus("peerAckedAt")}` }]
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
