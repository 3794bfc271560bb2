/**
 * Sessions of a web application, kept in a replica set: any instance of the application serves any visitor, and no restart
 * of an instance or of a replica signs anybody out.
 */
import { randomBytes } from "node:crypto"
import type { QuorumClient } from "@quorum/client"
import type { Context, MiddlewareHandler } from "hono"
import { deleteCookie, getCookie, setCookie } from "hono/cookie"

/** What is kept of a visitor. */
export type Session = Record<string, unknown>

/** What the middleware gives to handlers: the session, to be changed; `undefined` ends it. */
export interface SessionEnv {
  readonly Variables: { session: Session | undefined }
}

/** How long a session lives after it was used last. */
const lifeMillis = 24 * 60 * 60 * 1000

/** Reads the session before a handler and keeps it after it. The answer is sent when W replicas hold what it says. */
export const sessions =
  (client: QuorumClient, namespace = "sessions"): MiddlewareHandler<SessionEnv> =>
  async (c, next) => {
    const known = getCookie(c, cookie)
    const found = known === undefined ? undefined : (await client.get(namespace, known))?.json<Kept>()
    const isAlive = found !== undefined && found.usedAt + lifeMillis > Date.now()
    c.set("session", isAlive ? found.session : {})
    await next()
    const session: Session | undefined = c.get("session")
    if (session === undefined) return end(c, client, namespace, known)
    // Who has nothing to keep gets no cookie; an id that somebody made up is not taken over.
    if (!isAlive && Object.keys(session).length === 0) return
    const id = isAlive ? known! : randomBytes(32).toString("hex")
    await client.put(namespace, id, { json: { session, usedAt: Date.now() } satisfies Kept })
    setCookie(c, cookie, id, { httpOnly: true, sameSite: "Lax", path: "/", maxAge: lifeMillis / 1000 })
  }

// ---------------------------------------------------------------------------------------------------------------------

const cookie = "session"

interface Kept {
  readonly session: Session
  readonly usedAt: number
}

const end = async (c: Context, client: QuorumClient, namespace: string, id: string | undefined): Promise<void> => {
  if (id !== undefined) await client.delete(namespace, id)
  deleteCookie(c, cookie)
}
