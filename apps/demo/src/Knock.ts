/**
 * Somebody at the route of a replica that is for peers, with a certificate or without, to see whether the replica lets
 * them in. Nothing of the protocol is said.
 */
import { request } from "node:https"
import type { TLSSocket } from "node:tls"
import { Effect } from "effect"
import type { Certificates, Shown } from "./Certificates.ts"
import type { Member } from "./DemoSet.ts"
import type { Transport } from "./ReplicaConfig.ts"

/** What a replica answered. */
export interface Answer {
  /** The status, or why there is none. */
  readonly status: number | string
  /** The SHA-256 of the certificate that the replica itself showed, as `node:tls` writes it. */
  readonly fingerprint: string | undefined
}

/** Asks for the way in, as the transport has it; whoever may not is answered with 403. */
export const knock = (
  { url }: Member,
  transport: Transport,
  { authority }: Certificates,
  shown?: Shown
): Effect.Effect<Answer> =>
  Effect.callback((resume) => {
    const said = (status: Answer["status"], fingerprint?: string): void =>
      resume(Effect.succeed({ status, fingerprint }))
    const own = shown === undefined ? {} : { key: shown.key, cert: shown.cert }
    const asked = request(`${url}/peer`, { ...ways[transport], ...own, ca: authority, agent: false, timeout })
    asked.once("response", (response) => {
      said(response.statusCode!, fingerprintOf(response.socket as TLSSocket))
      response.destroy()
    })
    asked.once("upgrade", ({ statusCode }, socket) => {
      said(statusCode!, fingerprintOf(socket as TLSSocket))
      socket.destroy()
    })
    asked.once("timeout", () => asked.destroy(new Error("no answer in time")))
    asked.on("error", ({ message }) => said(message))
    asked.end()
  })

/** Whether somebody was turned away, as one who is no member. */
export const isRefused = ({ status }: Answer): boolean => status === 403

/** Whether somebody was let in: what comes next is the protocol's. */
export const isLetIn = ({ status }: Answer): boolean => typeof status === "number" && status !== 403

// ---------------------------------------------------------------------------------------------------------------------

const timeout = 5000

/** How each transport begins. Over `http` an empty body is no frame, which only a member hears. */
const ways = {
  http: { method: "POST", headers: { "content-type": "application/vnd.quorum.peer-frame" } },
  ws: {
    method: "GET",
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-key": Buffer.from("a demo that asks").toString("base64"),
      "sec-websocket-version": "13"
    }
  }
}

const fingerprintOf = (socket: TLSSocket): string | undefined => socket.getPeerX509Certificate()?.fingerprint256
