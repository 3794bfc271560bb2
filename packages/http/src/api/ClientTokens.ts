/**
 * Who may ask what over the client API: bearer tokens and certificates, each with a role and, if wanted, with namespaces.
 *
 * Without tokens everybody who reaches the port may do everything. With tokens only `/healthz` and `/readyz` are open,
 * what `RouteAccess` opens, and the route of peers, who prove themselves in another way.
 */
import { ClientCertificate, Monotonic, ReplicaServer, ServerLimits } from "@quorum/core/adapter"
import { Clock, Context, Effect, FileSystem, Layer, Option, Schema, Stream } from "effect"
import { Mac } from "effect/crypto"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as PlainError from "../PlainError.ts"
import { Forbidden, Unauthorized } from "./ApiErrors.ts"
import * as ClientRate from "./ClientRate.ts"
import { pathOf } from "./RequestRules.ts"

/** What a client may do. */
const says = {
  /** What the log calls it. */
  name: Schema.String,
  /** `read` reads, `write` reads and writes, `admin` may do everything. */
  role: Schema.Literals(["read", "write", "admin"]),
  /** The only namespaces whose records it reaches, and nothing that is not of a namespace; all, unless given. */
  namespaces: Schema.optionalKey(Schema.Array(Schema.String))
}

/** By what a client is known. */
export const Token = Schema.Union([
  /** A token as it is kept: not itself, but its SHA-256 in hexadecimal digits. */
  Schema.Struct({ ...says, sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)) }),
  /**
   * A certificate, by its SHA-256 as `openssl x509 -fingerprint -sha256` prints it. It counts where the replica has `tls`,
   * when one of the authorities there has signed it and it is valid, for requests that show no token.
   */
  Schema.Struct({ ...says, certificate: Schema.String.check(Schema.isPattern(/^(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}$/i)) })
])

/** By what a client is known. */
export type Token = typeof Token.Type

/** Who may ask a route, where there are tokens: everybody, or whoever has one of this role or a higher one. */
export const Access = Schema.Literals(["open", "read", "write", "admin"])

/** Who may ask a route. */
export type Access = typeof Access.Type

/**
 * Who may ask routes that are about the replica and not about records, by their paths, where it is not what a token's role
 * says: `{ "/metrics": "open", "/v1/status": "admin" }`. A token of namespaces reaches none of them unless they are open.
 */
export const RouteAccess = Context.Reference<Readonly<Record<string, Access>>>("@quorum/http/RouteAccess", {
  defaultValue: () => ({})
})

/** The tokens of today; undefined where there are none to be had, and everybody may do everything. */
export const ClientTokens = Context.Reference<(() => ReadonlyArray<Token>) | undefined>("@quorum/http/ClientTokens", {
  defaultValue: () => undefined
})

/** Takes the tokens from a JSON file, and what is changed in it within seconds: the first time it has to be readable. */
export const layerFile = (path: string) =>
  Layer.effect(
    ClientTokens,
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const read = Effect.flatMap(files.readFileString(path), decode)
      let tokens = yield* read
      /** What was said last of the file: it is wrong in the same way until somebody mends it. */
      let failed: string | undefined
      const again = Effect.matchEffect(read, {
        onSuccess: (now) =>
          Effect.sync(() => {
            failed = undefined
            tokens = now
          }),
        onFailure: ({ message }) => {
          const isKnown = failed === message
          failed = message
          return isKnown
            ? Effect.void
            : Effect.logError(`${path} cannot be read, and the tokens stay what they were; mend it: ${message}`)
        }
      })
      yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(reloadMillis), again)))
      return () => tokens
    })
  )

/** What the log calls the token of the current request; undefined where there was none. */
export const ClientName = Context.Reference<string | undefined>("@quorum/http/ClientName", {
  defaultValue: () => undefined
})

/**
 * Why the current request may not go on, undefined as long as it may: an answer that lasts, such as a feed, asks before each
 * part, since a token may be taken away, or may do less, and a certificate expire, after the request came.
 */
export const Refusal = Context.Reference<Effect.Effect<Unauthorized | Forbidden | undefined>>("@quorum/http/Refusal", {
  defaultValue: () => Effect.undefined
})

/** Ends what the current request is answered with, before the first part that comes after it may not go on. */
export const whileAllowed = Effect.map(
  Refusal,
  (refusal) =>
    <A, E, R>(parts: Stream.Stream<A, E, R>): Stream.Stream<A, E | Unauthorized | Forbidden, R> =>
      Stream.mapEffect(parts, (part) =>
        Effect.flatMap(refusal, (refused) => (refused === undefined ? Effect.succeed(part) : Effect.fail(refused)))
      )
)

/**
 * A line in the log for an act of administration: what was done, by whose token, from which address. Values and keys have no
 * place in it.
 */
export const audit = (act: string): Effect.Effect<void, never, HttpServerRequest.HttpServerRequest> =>
  Effect.gen(function* () {
    const { remoteAddress } = yield* HttpServerRequest.HttpServerRequest
    const by = (yield* ClientName) ?? "nobody's token"
    const from = Option.getOrElse(remoteAddress, () => "an unknown address")
    yield* Effect.logInfo(`${act}, asked for by ${JSON.stringify(by)} from ${from}`)
  }).pipe(Effect.annotateLogs("quorum.event", "audit"))

/**
 * Refuses requests that no token allows, those that come too often, and those of clients that have too much under way,
 * before anybody looks at them. Says in the log where
 * there are no tokens.
 */
export const layer = HttpRouter.use((router) =>
  Effect.gen(function* () {
    const tokens = yield* ClientTokens
    const access = yield* RouteAccess
    const rate = yield* ClientRate.ClientRate
    const shown = yield* ClientCertificate.ClientCertificate
    const clock = yield* Clock.Clock
    if (tokens === undefined) yield* warning
    const meter = rate === undefined ? undefined : ClientRate.meter(rate)
    /** How much too early a request is, in milliseconds. */
    const earlyBy = (client: string): number => meter?.(client, Monotonic.millis(clock)) ?? 0
    /** What is answered to one who asks too often, or has too much under way. */
    const refused = ({ source }: HttpServerRequest.HttpServerRequest, client: string) => {
      const early = earlyBy(client)
      if (early > 0) return ClientRate.tooMany(early)
      return ServerLimits.isWithinShare(source, client) ? undefined : ClientRate.tooMany(1)
    }
    yield* router.addGlobalMiddleware((answer) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        const { headers, method, url } = request
        if (isOpen(url)) return answer
        // What is open is so as it is spelled, and to whoever asks no more often than others may.
        if (tokens === undefined || access[url] === "open") {
          const refusal = refused(request, clientOf(request, undefined))
          return refusal === undefined ? answer : Effect.succeed(refusal)
        }
        // As it is whenever it is asked: what is taken away counts no more.
        const known =
          headers.authorization === undefined
            ? Effect.sync(() => certified(shown(request.source), tokens()))
            : Effect.suspend(() => tokenOf(headers.authorization, tokens()))
        const refusal = Effect.map(known, (token) => {
          if (token === undefined) return new Unauthorized()
          return allows(token, method, url, access) ? undefined : new Forbidden()
        })
        return Effect.flatMap(known, (token) => {
          const refusedNow = refused(request, clientOf(request, token))
          if (refusedNow !== undefined) return Effect.succeed(refusedNow)
          if (token === undefined) return Effect.succeed(unknown)
          return allows(token, method, url, access)
            ? answer.pipe(Effect.provideService(ClientName, token.name), Effect.provideService(Refusal, refusal))
            : Effect.succeed(forbidden)
        })
      })
    )
  })
)

/** Whether a token may make a request of this target. One that is not well-formed reaches no namespace. */
export const allows = (
  { namespaces, role }: Token,
  method: string,
  target: string,
  access: Readonly<Record<string, Access>> = {}
): boolean => {
  const path = pathOf(target)
  const needed = Object.hasOwn(access, path) ? access[path]! : "read"
  if (roles.indexOf(role) < roles.indexOf(needed)) return false
  const reads = method === "GET" || method === "HEAD" || (method === "POST" && asking.includes(path))
  if (role === "read" && !reads) return false
  // A stamp writes nothing and says nothing of any record; the write that it is for is of a namespace.
  if (method === "POST" && (path === "/v1/stamps" || path === "/v1/stamps/each")) return true
  return namespaces === undefined || namespaces.some((namespace) => namespace === namespaceOf(target))
}

// ---------------------------------------------------------------------------------------------------------------------

/** By what a client is counted: its token, or its address where it has none. */
const clientOf = ({ remoteAddress }: HttpServerRequest.HttpServerRequest, token: Token | undefined): string =>
  token === undefined ? `address ${Option.getOrElse(remoteAddress, () => "")}` : `token ${token.name}`

const warning = Effect.logWarning("clients need no token here: whoever reaches the port may read and write")

/** Where what is asked is in the body. */
const asking = ["/v1/reads", "/v1/receipts/verify"]

/** From what everybody may to what few may. */
const roles: ReadonlyArray<Access> = Access.literals

/** A token of which a word is not known may do more than its writer thinks: without `namespaces` it reaches all of them. */
const decode = Schema.decodeEffect(Schema.fromJsonString(Schema.Array(Token)), { onExcessProperty: "error" })

/** How often the file is read. */
const reloadMillis = 2000

const isOpen = (url: string): boolean => url === "/healthz" || url === "/readyz" || url === ReplicaServer.peerPath

const tokenOf = (authorization: string | undefined, tokens: ReadonlyArray<Token>) => {
  const text = /^bearer ([!-~]+)$/i.exec(authorization ?? "")?.[1]
  if (text === undefined) return Effect.succeed(undefined)
  return Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", ascii.encode(text))),
    (bytes) => {
      const digest = new Uint8Array(bytes)
      // All are compared, so that the time says nothing of which.
      return tokens.filter((token) => "sha256" in token && Mac.timingSafeEqual(digest, bytesOf(token.sha256)))[0]
    }
  )
}

/** A certificate is no secret: that its key is at the other end TLS has seen to. */
const certified = (fingerprint: string | undefined, tokens: ReadonlyArray<Token>): Token | undefined =>
  fingerprint === undefined
    ? undefined
    : tokens.find(
        (token) => "certificate" in token && token.certificate.replaceAll(":", "").toLowerCase() === fingerprint
      )

const ascii = new TextEncoder()

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))

/** The namespace whose records a request is about: in its path, or the one that changes are asked of. */
const namespaceOf = (target: string): string | undefined => {
  const path = pathOf(target)
  if (path === "/v1/changes") {
    const names = new URLSearchParams(target.slice(path.length)).getAll("namespace")
    return names.length === 1 ? names[0] : undefined
  }
  const name = /^\/v1\/(?:records|keys|namespaces)\/([^/]+)(?:\/[^/]+)?$/.exec(path)?.[1]
  try {
    return name === undefined ? undefined : decodeURIComponent(name)
  } catch {
    return undefined
  }
}

const unknown = HttpServerResponse.setHeader(
  PlainError.make(401, "unauthorized", new Unauthorized().message),
  "www-authenticate",
  "Bearer"
)

const forbidden = PlainError.make(403, "forbidden", new Forbidden().message)
