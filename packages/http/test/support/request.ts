/** Requests as curl would make them, so that tests see what is on the wire. */
import { Effect } from "effect"
import * as Http from "node:http"

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Uint8Array
  readonly text: string
  // A test reads what it expects out of it; a wrong expectation fails the test.
  readonly json: Readonly<Record<string, unknown>>
}

export const request = (
  method: string,
  url: string,
  options: { readonly body?: BodyInit; readonly headers?: Record<string, string> } = {}
): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const init = { method, signal, redirect: "manual", duplex: "half", ...options } as RequestInit
    const response = await fetch(url, init)
    const bytes = new Uint8Array(await response.arrayBuffer())
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)
    const isJson = /^application\/(?:problem\+)?json/.test(response.headers.get("content-type") ?? "")
    return { status: response.status, headers: response.headers, bytes, text, json: isJson ? parsed(text) : {} }
  })

/** A value may say that it is JSON and be none. */
const parsed = (text: string) => {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}

/**
 * Sends the head of a request and no body, or a body without an end, and waits for the answer. A server that wants the
 * whole body first never answers.
 */
export const upload = (
  method: string,
  url: string,
  headers: Record<string, string>,
  body: "none" | "endless"
): Effect.Effect<{
  readonly status: number | undefined
  readonly json: Readonly<Record<string, unknown>>
  /** How many bytes of the body the server and what is in between had taken by then. */
  readonly sent: number
}> =>
  Effect.callback((resume) => {
    let sent = 0
    const chunk = Buffer.alloc(64 * 1024)
    const outgoing = Http.request(url, { method, headers, agent: false })
    const more = (): void => {
      if (outgoing.destroyed) return
      sent += chunk.length
      if (outgoing.write(chunk)) setImmediate(more)
      else outgoing.once("drain", more)
    }
    // The server closes the connection while the body is still on its way.
    outgoing.on("error", () => {})
    outgoing.on("response", (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (part: string) => (text += part))
      response.on("end", () => {
        outgoing.destroy()
        resume(Effect.succeed({ status: response.statusCode, json: JSON.parse(text), sent }))
      })
    })
    if (body === "none") outgoing.flushHeaders()
    else more()
    return Effect.sync(() => void outgoing.destroy())
  })
