/** Reads an answer that does not end, as it comes. */
import { Effect } from "effect"

export interface Following {
  readonly status: number
  readonly headers: Headers
  /** What has come, once it is as the test wants it. */
  readonly until: (is: (text: string) => boolean) => Effect.Effect<string>
  /** All that came, once it ends in order. */
  readonly end: Effect.Effect<string>
}

export const follow = Effect.fnUntraced(function* (url: string, headers: Record<string, string> = {}) {
  const controller = new AbortController()
  yield* Effect.addFinalizer(() => Effect.sync(() => controller.abort()))
  const response = yield* Effect.promise(() => fetch(url, { headers, signal: controller.signal }))
  const reader = response.body!.getReader()
  const decoder = new TextDecoder()
  let text = ""
  const read = (is: (text: string) => boolean) =>
    Effect.promise(async () => {
      while (!is(text)) {
        const { done, value } = await reader.read()
        if (done) return text
        text += decoder.decode(value, { stream: true })
      }
      return text
    }).pipe(Effect.timeout(20_000), Effect.orDie)
  const following: Following = {
    status: response.status,
    headers: response.headers,
    until: read,
    end: read(() => false)
  }
  return following
})

/** The lines of an answer, as JSON. */
export const linesOf = (text: string): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
