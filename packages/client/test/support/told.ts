/** Replicas that answer as told, and what a client has sent them. */
import { createClient, type QuorumClient, QuorumError } from "../../src/index.ts"

export interface Sent {
  readonly url: string
  readonly path: string
  readonly query: URLSearchParams
  readonly lines: ReadonlyArray<{ readonly key: string; readonly stamp?: string }>
  /** What it says of what was done and seen. */
  readonly session: string | undefined
}

export type Answer = (sent: Sent) => Response | Promise<Response>

export const receiptOf = (key: string, at: string) => ({
  writeId: `${at}@0000000000000000:1.00000000`,
  clock: { wallTime: 1, logical: 0 },
  tie: key,
  policy: { n: 3, w: 2 },
  acked: [],
  missing: {},
  durationMillis: 1
})

export const json = (status: number, body: object, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } })

export const problem = (status: number, error: string, fields: object = {}, headers = {}) =>
  json(status, { error, message: error, ...fields }, headers)

export const ndjson = (lines: ReadonlyArray<object>) =>
  new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(""))

/** Stamps are drawn, and what is sent is committed. */
const usual: Answer = ({ lines, path, url }) => {
  if (path === "/v1/stamps/each") return json(201, { stamps: lines.map(({ key }) => `stamp of ${key}`) })
  if (path === "/v1/stamps") return json(201, { stamp: "stamp" })
  if (path !== "/v1/batch") return problem(404, "route_unknown")
  return ndjson(lines.map(({ key }, i) => ({ line: i + 1, status: 201, receipt: receiptOf(key, url.at(-1)!) })))
}

/** A client of `http://a` and so on, and what it has sent. Each request is answered by the next answer, and then as usual. */
export const clientOf = (
  answers: ReadonlyArray<readonly [path: string, answer: Answer]>,
  options: { readonly timeoutMillis?: number } = {}
): { readonly client: QuorumClient; readonly sent: ReadonlyArray<Sent> } => {
  const sent: Array<Sent> = []
  const left = [...answers]
  const client = createClient({
    urls: ["http://a", "http://b", "http://c"],
    timeoutMillis: 1000,
    ...options,
    fetch: async (text, { body, headers, signal }) => {
      const url = new URL(text)
      const said = typeof body === "string" ? body : ""
      const lines = ["/v1/batch", "/v1/reads"].includes(url.pathname)
        ? said
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line))
        : []
      const session = new Headers(headers).get("quorum-session") ?? undefined
      const keys = url.pathname.startsWith("/v1/stamps") ? JSON.parse(said).keys : lines
      const request = { url: url.origin, path: url.pathname, query: url.searchParams, lines: keys, session }
      sent.push(request)
      const i = left.findIndex(([path]) => path === url.pathname)
      const answer = i < 0 ? usual : left.splice(i, 1)[0]![1]
      const hung = new Promise<never>((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)))
      return Promise.race([answer(request), hung])
    }
  })
  return { client, sent }
}

export const failure = async (promise: Promise<unknown>): Promise<QuorumError> => {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error
  )
  if (!(error instanceof QuorumError)) throw new Error(`no error of the client: ${String(error)}`)
  return error
}

/** A record, as a line says it. */
export const recordOf = (key: string, value = key) => ({
  namespace: "n",
  key,
  value: btoa(value),
  writeId: `of ${key}`
})

/** The answer to lines that are reads: each has its record. */
export const records: Answer = ({ lines }) =>
  ndjson(lines.map(({ key }, i) => ({ line: i + 1, status: 200, record: recordOf(key) })))

export const batches = (sent: ReadonlyArray<Sent>) => sent.filter(({ path }) => path === "/v1/batch")

export const broken: Answer = () => Promise.reject(new TypeError("fetch failed"))
