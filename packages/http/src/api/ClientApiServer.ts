/**
 * Serves the client API on a router, its OpenAPI document and a page that shows it, and gives every other answer of that router the shape
 * that all errors have.
 */
import type { ClientSessions, QuorumWriter, Records, ReplicaStatus } from "@quorum/core"
import { ReplicaServer } from "@quorum/core/adapter"
import { Cause, Context, Effect, Layer, SchemaAST, SchemaIssue, type Types } from "effect"
import { HttpBody, HttpRouter, HttpServer, HttpServerError, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, type HttpApiEndpoint, HttpApiMiddleware, HttpApiSwagger, OpenApi } from "effect/http-api"
import { ClientApi } from "./ClientApi.ts"
import { InvalidRequest, InvalidRequests, NeedsToken, StrictRequests } from "./ClientApiErrors.ts"
import * as ClientApiHandlers from "./ClientApiHandlers.ts"
import * as ClientTokens from "./ClientTokens.ts"
import * as openApi from "./openApi.ts"
import { internal } from "./ProblemTable.ts"
import * as PlainError from "../PlainError.ts"
import * as RequestRules from "./RequestRules.ts"
import * as Routes from "./routes.ts"

/** Where the OpenAPI document is. */
export const openApiPath = "/openapi.json"

/** Where a page is that shows the API to a person. */
const docsPath = "/docs"

/** A route that is served beside the API, and what the document says of it: an operation of OpenAPI 3.1. */
export interface FurtherRoute extends Routes.Route {
  readonly operation: { readonly operationId: string; readonly responses: object; readonly [field: string]: unknown }
}

/**
 * The routes that whoever composes a replica serves beside the API, so that the document and the answers to other methods
 * know them. None unless given.
 */
export const FurtherRoutes = Context.Reference<ReadonlyArray<FurtherRoute>>("@quorum/http/FurtherRoutes", {
  defaultValue: () => []
})

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

/** Parameters that do not decode are answered with the field's name. */
const invalidRequests = HttpApiMiddleware.layerSchemaErrorTransform(InvalidRequests, (error) => {
  // Not the caller's fault: an answer that does not encode.
  if (error.kind === "Body" || error.kind === "ResponseHeaders") return Effect.fail(error)
  const [issue] = formatIssues(error.cause.issue).issues
  const field = issue?.path?.[0] ?? error.kind.toLowerCase()
  return Effect.fail(
    new InvalidRequest({
      field: String(typeof field === "object" ? field.key : field),
      detail: issue?.message ?? "it cannot be decoded"
    })
  )
})

/** What no endpoint has answered: an unknown route, a url that is not one, a body beyond its limit, a defect. */
const fallback = (routes: ReadonlyArray<Routes.Route>, cause: Cause.Cause<unknown>) =>
  Effect.gen(function* () {
    const [{ status }] = yield* HttpServerError.causeResponse(cause)
    const { method, url } = yield* HttpServerRequest.HttpServerRequest
    const path = url.split("?")[0]!
    switch (status) {
      case 404:
        return isDecodable(path) ? unanswered(routes, method, path) : invalid("path", "it is not well-formed")
      case 413:
        return PlainError.make(413, "request_too_large", "the body is larger than this route takes")
      case 400:
        return invalid("body", "it could not be read to its end")
      default:
        yield* Effect.logError(`${method} ${path} failed`, cause)
        return PlainError.make(500, "internal", internal)
    }
  })

/** Nothing is at a path, or nothing by this method. */
const unanswered = (
  routes: ReadonlyArray<Routes.Route>,
  method: string,
  path: string
): HttpServerResponse.HttpServerResponse => {
  const allowed = Routes.methodsAt(routes, path)
  // A name that is longer than the router takes finds no route either.
  if (allowed.length === 0 || allowed.includes(method)) {
    return PlainError.make(404, "route_unknown", `there is nothing at ${method} ${path}; see ${openApiPath}`)
  }
  const allow = allowed.join(", ")
  const answer = PlainError.make(405, "method_not_allowed", `${path} takes ${allow}, and not ${method}`)
  return HttpServerResponse.setHeader(answer, "allow", allow)
}

const invalid = (field: string, detail: string) => {
  const { message } = new InvalidRequest({ field, detail })
  return PlainError.make(400, "invalid_request", message, { field, detail })
}

const isDecodable = (path: string): boolean => {
  try {
    decodeURIComponent(path)
    return true
  } catch {
    return false
  }
}

const objected = ({ detail, error, field, status }: RequestRules.Objection) =>
  PlainError.make(status, error, `${field}: ${detail}`, { field, detail })

/** The parameters, or the headers, that an endpoint decodes. */
const namesIn = (part: HttpApiEndpoint.Top["query"]): ReadonlyArray<string> =>
  part !== undefined && SchemaAST.isObjects(part.ast) ? part.ast.propertySignatures.map(({ name }) => String(name)) : []

/** Refuses what an endpoint would not look at. */
const strictRequests = Layer.succeed(StrictRequests, (answer, { endpoint }) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, method, url }) => {
    const names = namesIn(endpoint.query)
    const objection =
      RequestRules.ofQuery(url, names) ??
      RequestRules.ofHeaders(method, headers, {
        readsBody: endpoint.payload.size > 0,
        takes: namesIn(endpoint.headers)
      })
    return objection === undefined ? answer : Effect.succeed(objected(objection))
  })
)

/** What a token may do is looked at for all requests at once, by {@link ClientTokens}, and not for one endpoint. */
const needsToken = Layer.succeed(NeedsToken, (answer) => answer)

/** Refuses paths that the router would take for others, and a query of a document, at which nobody would look. */
const strictPaths = HttpRouter.use((router) =>
  router.addGlobalMiddleware((answer) =>
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request): Answer => {
      const url = ReplicaServer.wholeUrlOf(request) ?? request.url
      const isDocument = [openApiPath, docsPath].includes(RequestRules.pathOf(url))
      const objection = RequestRules.ofPath(url) ?? (isDocument ? RequestRules.ofQuery(url, []) : undefined)
      return objection === undefined ? answer : Effect.succeed(objected(objection))
    })
  )
)

/** Nothing leaves the router but answers and `{ error, message }`. */
const errorContract = HttpRouter.use((router) =>
  Effect.flatMap(FurtherRoutes, (further) => {
    const documents = [openApiPath, docsPath].map((path) => ({ method: "GET", path }))
    const routes = Routes.of(ClientApi, ...documents, ...further)
    return router.addGlobalMiddleware((answer) =>
      Effect.catchCause(answer, (cause): Answer =>
        Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : fallback(routes, cause)
      )
    )
  })
)

/** The document, with what is served beside the API. Made before anything is asked: it takes 50 ms the first time. */
const document = HttpRouter.use((router) =>
  Effect.flatMap(FurtherRoutes, (further) =>
    router.add("GET", openApiPath, HttpServerResponse.jsonUnsafe(documentWith(further)))
  )
)

const documentWith = (further: ReadonlyArray<FurtherRoute>): object => {
  const { paths, ...rest } = OpenApi.fromApi(ClientApi)
  const more = further.map(
    ({ method, operation, path }) => [path, { [method.toLowerCase()]: openApi.orRefused(operation) }] as const
  )
  return { ...rest, paths: { ...paths, ...Object.fromEntries(more) } }
}

/** A page as bytes, which it is made into once: of a text that would be done for each request, and of two mebibytes it takes 6 ms. */
const asBytes = (page: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse =>
  page.body._tag === "Uint8Array"
    ? HttpServerResponse.setBody(page, HttpBody.uint8Array(page.body.body, page.body.contentType))
    : page

/** It can write, and must not be a part of a page that hides it. */
const alone = HttpRouter.middleware(
  Effect.map((page: HttpServerResponse.HttpServerResponse) =>
    HttpServerResponse.setHeader(asBytes(page), "content-security-policy", "frame-ancestors 'none'")
  )
)

/** The page. Its scripts are megabytes, which to load takes 25 ms: so that is done before anything is asked. */
const docs = Layer.provide(HttpApiSwagger.layer(ClientApi, { path: docsPath }), alone.layer)

type Answer = Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled, HttpServerRequest.HttpServerRequest>

/**
 * Adds the client API to the router. Without `ClientTokens` everybody who reaches it may do everything.
 *
 * A router takes path parameters of 100 characters unless told otherwise, and keys may be longer; `HttpReplicaServer`
 * tells it.
 */
export const layer: Layer.Layer<
  never,
  never,
  | HttpRouter.HttpRouter
  | QuorumWriter.QuorumWriter
  | Records.Records
  | ClientSessions.ClientSessions
  | ReplicaStatus.ReplicaStatus
> = Layer.mergeAll(
  HttpApiBuilder.layer(ClientApi).pipe(
    Layer.provide(ClientApiHandlers.layer),
    Layer.provide(invalidRequests),
    Layer.provide(strictRequests),
    Layer.provide(needsToken),
    Layer.provide(HttpServer.layerServices)
  ),
  document,
  docs,
  errorContract,
  strictPaths,
  ClientTokens.layer
)
