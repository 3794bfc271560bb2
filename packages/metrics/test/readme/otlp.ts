import { Replica } from "@quorum/core"
import { OtlpExport, ReplicaMetrics } from "../../src/index.ts"
import { Layer } from "effect"
import { FetchHttpClient } from "effect/http"

/** A replica whose metrics, logs and traces go to a collector. The rest of it is as ever. */
export const replica = (url = "http://127.0.0.1:4318") =>
  ReplicaMetrics.layer.pipe(
    Layer.provideMerge(Replica.layer()),
    Layer.provide(OtlpExport.layer({ url, traceShare: 0.01 })),
    Layer.provide(FetchHttpClient.layer)
  )
