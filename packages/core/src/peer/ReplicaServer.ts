/**
 * Serves the routes of a replica, for peers, for clients or for both, on one port, and ends in order.
 */
import { Context, Deferred, Effect, Layer, Option, Schema } from "effect"
import { HttpMiddleware, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as Problem from "./Problem.ts"
import type { Refusals } from "./Refusals.ts"
import * as ServerLimits from "./ServerLimits.ts"
import * as WebPages from "./WebPages.ts"

/** Where peers are answered, whatever the transport; its server and its client have to agree on it. */
export const peerPath = "/peer"

/**
 * The handler of a route with one fixed path, which answers only what is spelled so. A router takes other spellings for
 * the same path (`/peer;x`, `/%70eer`, `/peer#x`, `http://host/peer`), past the rules of a proxy in front of it (law
 * L64); and a query, at which nobody looks, is refused (law L66).
 */
export const exactly =
  <E, R>(
    path: string,
    answer: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) =>
  (request: HttpServerRequest.HttpServerRequest): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R> =>
    request.url === path && wholeUrlOf(request) === undefined
      ? answer(request)
      : Effect.succeed(misspelt(path, wholeUrlOf(request) ?? request.url))

/**
 * The target of a request, where it is a whole URL and not a path: that is how proxies are asked, and a replica is none.
 * Known where the request came over Node's HTTP; a request of the web has no other target.
 */
export const wholeUrlOf = ({ source }: HttpServerRequest.HttpServerRequest): string | undefined =>
  "httpVersion" in source && "url" in source && typeof source.url === "string" && !source.url.startsWith("/")
    ? source.url
    : undefined

/**
 * The names by which a replica may be called, beside its addresses and `localhost`: the host of a request has to be one
 * of them. A web page whose own name leads to this machine could read and write here otherwise (DNS rebinding): to its
 * browser the replica would be the page's own server.
 */
export const KnownHosts = Context.Reference<ReadonlyArray<string>>("@quorum/core/KnownHosts", {
  defaultValue: () => []
})

/**
 * Whether a request can name it as its host, beside a port: a name alone, in the letters that browsers send, or an address.
 * A url, a pattern or a name with a port among {@link KnownHosts} would never be that of any request.
 */
export const isHost = (name: string): boolean => /^(?:[a-z0-9_][a-z0-9._-]*|\[[0-9a-f:.]+\])$/i.test(name)

/** The host names in some URLs, and these: for {@link KnownHosts}. */
export const hostsOf = (urls: Readonly<Record<string, string>>, hosts: ReadonlyArray<string> = []) => [
  ...hosts,
  ...Object.values(urls).flatMap((url) => (URL.canParse(url) ? [new URL(url).hostname] : []))
]

/**
 * The handler of the route of peers. A browser says from which page a request comes, and no peer does: the one is refused
 * whatever the page, since it would speak with the rights of whoever looks at it.
 */
export const forPeers = <E, R>(
  turnAway: Refusals,
  answer: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) =>
  exactly(peerPath, (request) =>
    request.headers["origin"] === undefined
      ? answer(request)
      : Effect.as(turnAway("web_page", Option.getOrUndefined(request.remoteAddress)), fromPage)
  )

/**
 * When the server of a replica stops: for answers that do not end by themselves, as a stream of what is still to come.
 */
export const Closing = Context.Reference<Effect.Effect<void>>("@quorum/core/ServerClosing", {
  defaultValue: () => Effect.never
})

/** What is given as a port is none. */
export class InvalidPort extends Schema.TaggedError<InvalidPort>()("InvalidPort", { detail: Schema.String }) {
  override get message(): string {
    return this.detail
  }
}

/** Whether something is a port to listen on; programs without types give what they like. */
export const checkPort = (port: unknown): Effect.Effect<void, InvalidPort> => {
  if (typeof port === "number" && Number.isInteger(port) && port >= 0 && port <= 65_535) return Effect.void
  const given = typeof port === "string" ? JSON.stringify(port) : String(port)
  const detail = `port: ${given} is none; give a whole number from 0, for any that is free, to 65535`
  return Effect.fail(new InvalidPort({ detail }))
}

/** How long a server waits for requests under way when it stops, in milliseconds. */
export const closeMillis = 3000

/**
 * Serves routes: a transport's, the client API's, an application's. Needs an `HttpServer`, which a platform provides, and
 * which listens before the routes are there: see {@link listen}. Without a line in the log for each request, and without a
 * span for those of peers: a write would pay for both. A path is taken as it is spelled: another case, a trailing or a double
 * slash is another path.
 *
 * A server that stops listening goes on answering on the connections that are busy, and peers keep theirs busy. So from
 * the moment its scope closes every answer ends its connection, and what was upgraded to another protocol is ended at
 * once; otherwise stopping takes until the server gives up waiting (20 seconds on Node).
 */
export const serve = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  listen(routes, Layer.effect(HttpServer.HttpServer, HttpServer.HttpServer))

/**
 * Serves routes as {@link serve} does, on a server that listens when all of them are there: a request that came before
 * would wait for ever, and whoever finds nobody knows that nothing was taken.
 */
export const listen = <A, E, R, E2, R2>(
  routes: Layer.Layer<A, E, R>,
  server: Layer.Layer<HttpServer.HttpServer, E2, R2>
) =>
  Layer.suspend(() => {
    const closing = Deferred.makeUnsafe<void>()
    const ended = Effect.as(Deferred.await(closing), HttpServerResponse.empty())
    const knownHosts = HttpRouter.use((router) =>
      Effect.flatMap(Effect.all([KnownHosts, WebPages.KnownOrigins]), ([names, origins]) => {
        const isKnown = knows(names)
        const guard = WebPages.guard(origins)
        return router.addGlobalMiddleware((answer) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
            const { host } = request.headers
            // Nobody is there to answer.
            if (ServerLimits.isEnded(request.source)) return Effect.succeed(HttpServerResponse.empty())
            if (host === undefined && needsHost(request.source)) return Effect.succeed(noHost)
            const twice = repeatedIn(request.source)
            if (twice !== undefined) return Effect.succeed(repeated(twice))
            if (host !== undefined && !isKnown(host)) return Effect.succeed(unknownHost(host))
            // The peers' route refuses all pages, and says so to whoever watches.
            return request.url === peerPath ? answer : guard(request, answer)
          })
        )
      })
    )
    const goodbye = HttpRouter.use((router) =>
      router.addGlobalMiddleware((answer) =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers }) =>
          headers["upgrade"] === undefined
            ? Effect.map(answer, (response) =>
                Deferred.isDoneUnsafe(closing)
                  ? HttpServerResponse.setHeader(response, "connection", "close")
                  : response
              )
            : Effect.raceFirst(answer, ended)
        )
      )
    )
    const all = Layer.provide(routes, Layer.succeed(Closing, Deferred.await(closing)))
    // Built after the server, so it is closed before it.
    const bell = Layer.effectDiscard(Effect.addFinalizer(() => Deferred.succeed(closing, undefined)))
    return HttpRouter.toHttpEffect(Layer.provideMerge(all, Layer.provideMerge(goodbye, knownHosts))).pipe(
      Effect.provideService(HttpRouter.RouterConfig, routerConfig),
      Effect.map((answer) =>
        bell.pipe(
          Layer.provideMerge(Layer.merge(HttpServer.serve(answer), saidWhere)),
          Layer.provide(withoutSpans([peerPath, "/healthz", "/readyz"])),
          Layer.provideMerge(server)
        )
      ),
      Layer.unwrap
    )
    // Several replicas in one program must not share handlers, as layers that are used twice would.
  }).pipe(Layer.fresh)

// ---------------------------------------------------------------------------------------------------------------------

/** Says in the log where it listens. An `HttpServer` does not know whether that is by TLS. */
const saidWhere = Layer.effectDiscard(
  HttpServer.addressFormattedWith((url) => Effect.logInfo(`listens on ${url.replace(/^http:\/\//, "")}`))
)

const misspelt = (path: string, url: string): HttpServerResponse.HttpServerResponse => {
  const [status, error, field, detail] = url.startsWith(`${path}?`)
    ? ([400, "invalid_request", "query", "there is no parameter here"] as const)
    : ([404, "route_unknown", "path", `there is nothing at ${url}`] as const)
  return Problem.make(status, error, `${field}: ${detail}`, { field, detail })
}

const fromPage = Problem.make(403, "forbidden", "origin: peers are no web pages", {
  field: "origin",
  detail: "peers are no web pages"
})

const unknownHost = (host: string): HttpServerResponse.HttpServerResponse => {
  const detail = `this replica is not known as ${JSON.stringify(host.slice(0, 100))}; give it its names (hosts)`
  return Problem.make(421, "host_unknown", `host: ${detail}`, { field: "host", detail })
}

/** Whether a request has to name its host: one of HTTP/1.1, as a server of Node hands it over. */
const needsHost = (source: object): boolean => "httpVersion" in source && source.httpVersion === "1.1"

const hostNeeded = "a request of HTTP/1.1 names it"
const noHost = Problem.make(400, "invalid_request", `host: ${hostNeeded}`, { field: "host", detail: hostNeeded })

/**
 * The header of which there may be one and there are several, of which Node hands over the first without a word: what a
 * proxy in front goes by may be another (law L66). Known where the request came over Node's HTTP.
 */
const repeatedIn = (source: object): string | undefined => {
  if (!("rawHeaders" in source) || !Array.isArray(source.rawHeaders)) return undefined
  const fields = source.rawHeaders as ReadonlyArray<string>
  let seen = 0
  // Names and values in turn.
  for (let i = 0; i < fields.length; i += 2) {
    const which = 1 << single.indexOf(fields[i]!.toLowerCase())
    // The last bit is that of all others.
    if (which > 0 && (seen & which) !== 0) return fields[i]!.toLowerCase()
    seen |= which
  }
  return undefined
}

const single = ["host", "content-type", "authorization"]

const repeated = (field: string): HttpServerResponse.HttpServerResponse => {
  const detail = "it is given more than once"
  return Problem.make(400, "invalid_request", `${field}: ${detail}`, { field, detail })
}

/** Whether a host is an address, `localhost`, or one of these names; its port does not matter. */
const knows = (names: ReadonlyArray<string>): ((host: string) => boolean) => {
  const known = new Set(["localhost", ...names.map((name) => name.toLowerCase())])
  return (host) => {
    // An address cannot be made to lead elsewhere.
    if (/^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::\d+)?$/i.test(host)) return true
    return known.has(host.replace(/:\d*$/, "").toLowerCase())
  }
}

/** Makes no spans for requests of these, nor for those for which the application wants none. */
const withoutSpans = (urls: ReadonlyArray<string>) =>
  Layer.effect(
    HttpMiddleware.TracerDisabledWhen,
    Effect.map(
      HttpMiddleware.TracerDisabledWhen,
      (isUnwanted) => (request) => urls.includes(request.url) || isUnwanted(request)
    )
  )

const routerConfig = {
  // Characters of a namespace or a key in a path. More than keys may have by any limits, so that too long a key is
  // answered by core and not by the router; the server's limit of a request's head (16 KiB in Node) comes first.
  maxParamLength: 65_536,
  caseSensitive: true,
  ignoreTrailingSlash: false,
  ignoreDuplicateSlashes: false
}
