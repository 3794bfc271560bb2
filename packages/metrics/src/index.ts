/**
 * Metrics of Quorum, by Effect's `Metric`: recorded from the events and the status of a replica, exported as Prometheus
 * text or over OTLP.
 */
export * as Alerts from "./Alerts.ts"
export * as Dashboard from "./Dashboard.ts"
export * as Definitions from "./Definitions.ts"
export * as OtlpExport from "./OtlpExport.ts"
export * as Prometheus from "./Prometheus.ts"
export * as ReplicaLog from "./ReplicaLog.ts"
export * as ReplicaMetrics from "./ReplicaMetrics.ts"
export * as TraceSampling from "./TraceSampling.ts"
