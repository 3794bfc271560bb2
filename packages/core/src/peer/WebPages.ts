/**
 * Which web pages may ask a replica: those that it serves itself, and those that it was told of. A browser says from
 * which page a request comes (`Origin`), programs do not.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { HttpMiddleware, type HttpServerRequest, type HttpServerResponse } from "effect/http"
import * as Problem from "./Problem.ts"

/**
 * The origins of further web pages that may ask, as `https://app.example` or `http://localhost:5173`; none unless given.
 * Their browsers are told so (CORS), and let them read the answers.
 */
export const KnownOrigins = Context.Reference<ReadonlyArray<string>>("@quorum/core/KnownOrigins", {
  defaultValue: () => []
})

/** What is given as an origin is none, so that no page would ever have it. */
export class InvalidOrigins extends Schema.TaggedError<InvalidOrigins>()("InvalidOrigins", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** Provides {@link KnownOrigins}, each of which has to be spelled as browsers do. There is none that stands for all. */
export const layer = (origins: ReadonlyArray<string>): Layer.Layer<never, InvalidOrigins> =>
  Layer.effect(
    KnownOrigins,
    Effect.suspend(() => {
      const wrong = origins.find((origin) => !isOrigin(origin))
      if (wrong === undefined) return Effect.succeed(origins)
      const spelled = URL.canParse(wrong) && isOrigin(new URL(wrong).origin) ? new URL(wrong).origin : undefined
      const remedy = spelled === undefined ? "give each as https://app.example" : `write ${spelled}`
      return Effect.fail(new InvalidOrigins({ detail: `origins: ${JSON.stringify(wrong)} is no origin; ${remedy}` }))
    })
  )

/**
 * Whether a page of this origin may ask a replica that was called by this host: one of its own host, as a proxy may serve
 * both, and those that are known. Pure.
 */
export const mayAsk = (origin: string, host: string | undefined, known: ReadonlyArray<string>): boolean =>
  known.includes(origin) || (isOrigin(origin) && host !== undefined && new URL(origin).host === host.toLowerCase())

/** Refuses the requests of other pages, and lets those that are known read what they get. */
export const guard =
  (known: ReadonlyArray<string>) =>
  <E, R>(
    { headers: { host, origin } }: HttpServerRequest.HttpServerRequest,
    answer: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest> => {
    if (origin === undefined) return answer
    if (known.includes(origin)) return HttpMiddleware.cors({ ...shared, allowedOrigins: known })(answer)
    return mayAsk(origin, host, known) ? answer : Effect.succeed(foreign(origin))
  }

// ---------------------------------------------------------------------------------------------------------------------

const isOrigin = (text: string): boolean => /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text

/** What pages may send and see: tokens are no cookies, so that nothing is sent along by itself. */
const shared = {
  allowedMethods: ["GET", "HEAD", "PUT", "POST", "DELETE"],
  exposedHeaders: ["etag", "location", "quorum-session", "quorum-write-id", "retry-after"],
  maxAge: 600
} as const

const foreign = (origin: string): HttpServerResponse.HttpServerResponse => {
  const page = JSON.stringify(origin.slice(0, 100))
  const detail = `pages of ${page} may not ask this replica; give it their origin (origins)`
  return Problem.make(403, "forbidden", `origin: ${detail}`, { field: "origin", detail })
}
