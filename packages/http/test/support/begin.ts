/** Requests of lines that take their time. */
import { Effect } from "effect"
import * as Http from "node:http"

/** A request of lines that is sent piece by piece, and what was answered so far. It is given up when the scope closes. */
export const begin = (url: string, headers: Http.OutgoingHttpHeaders = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const options = { method: "POST", headers: { "content-type": "application/x-ndjson", ...headers } }
      const outgoing = Http.request(url, options)
      let told = ""
      const waiting = new Set<() => void>()
      outgoing.on("error", () => undefined)
      outgoing.on("response", (answer) => {
        answer.on("error", () => undefined)
        answer.setEncoding("utf8").on("data", (text: string) => {
          told += text
          for (const wake of waiting) wake()
        })
      })
      const lines = () => told.split("\n").slice(0, -1)
      return {
        send: (line: object) => void outgoing.write(`${JSON.stringify(line)}\n`),
        /** So many lines of the answer. */
        answered: (count: number) =>
          Effect.callback<
            ReadonlyArray<{ readonly line: number; readonly status: number; readonly problem: Record<string, unknown> }>
          >((resume) => {
            const look = () => {
              if (lines().length < count) return
              waiting.delete(look)
              resume(Effect.succeed(lines().map((line) => JSON.parse(line))))
            }
            waiting.add(look)
            look()
          }),
        end: () => void outgoing.destroy()
      }
    }),
    ({ end }) => Effect.sync(end)
  )
