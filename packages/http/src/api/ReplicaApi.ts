/**
 * The part of the client API that is about the replica that answers.
 */
import { type QuorumError, ReplicaStatus } from "@quorum/core"
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import * as Errors from "./ClientApiErrors.ts"

/** Why a replica says that it does not work, or does not take writes now. */
export type ReplicaError = QuorumError.NotReady | Errors.Unhealthy

const Ok = Schema.Struct({ status: Schema.Literal("ok") })

/** The replica itself. */
export class ReplicaGroup extends HttpApiGroup.make("replica", { topLevel: true })
  .add(
    HttpApiEndpoint.get("status", "/v1/status", { success: ReplicaStatus.Status })
      .middleware(Errors.NeedsToken)
      .annotateMerge(OpenApi.annotations({ summary: "The state of the replica and of its peers, as it sees them" })),
    HttpApiEndpoint.get("healthz", "/healthz", { success: Ok, error: Errors.ofHealth }).annotateMerge(
      OpenApi.annotations({ summary: "Whether the replica works: the process answers, and its store does not fail" })
    ),
    HttpApiEndpoint.get("readyz", "/readyz", { success: Ok, error: Errors.ofReadiness }).annotateMerge(
      OpenApi.annotations({
        summary: "Whether writes can be committed here: the replica may append, and W members are up"
      })
    )
  )
  .middleware(Errors.InvalidRequests)
  .middleware(Errors.StrictRequests)
  .annotateMerge(OpenApi.annotations({ description: "The replica itself." })) {}
