/**
 * `quorum watch`: what is written, as it is.
 */
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { printable } from "../tools/Progress.ts"
import type { Ended, Failed, Usage } from "./Ending.ts"
import * as Remote from "./remote.ts"

/** The command. */
export const command = Command.make(
  "watch",
  {
    namespace: Argument.String("namespace").pipe(
      Argument.withDescription("Whose records (default: all)"),
      Argument.optional
    ),
    prefix: Flag.String("prefix").pipe(
      Flag.withMetavar("TEXT"),
      Flag.withDescription("Only keys that begin so, in a namespace"),
      Flag.optional
    ),
    since: Flag.String("since").pipe(
      Flag.withMetavar("POSITION"),
      Flag.withDescription("Go on after an earlier line that said this position (default: from the beginning)"),
      Flag.optional
    ),
    untilNow: Flag.Boolean("until-now").pipe(
      Flag.withDescription("End with what is there, instead of going on"),
      Flag.withDefault(false)
    ),
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ namespace, prefix, since, untilNow, ...given }) {
    const remote = yield* Remote.connect(given)
    const query = new URLSearchParams()
    if (Option.isSome(namespace)) query.set("namespace", namespace.value)
    if (Option.isSome(prefix)) query.set("prefix", prefix.value)
    if (untilNow) query.set("until", "now")
    yield* follow(remote, given, query, Option.getOrUndefined(since))
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Prints every write, and goes on with those to come; at another replica where one does not answer any more. Each is seen " +
      "at least once. With --json as lines, of which the last of those that came together says a position for --since."
  ),
  Command.withShortDescription("Follows what is written"),
  Command.withExamples([
    { command: "quorum watch greetings", description: "A namespace, until Ctrl-C" },
    { command: "quorum watch --until-now --json", description: "The whole history, as lines" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

/** A line of the feed: a write, how far was looked, why there is no further one, or that there is none. */
interface Line {
  readonly namespace?: string
  readonly key?: string
  readonly value?: string
  readonly text?: string
  readonly json?: unknown
  readonly delete?: true
  readonly contentType?: string
  readonly writeId?: string
  readonly clock?: { readonly wallTime: number }
  readonly position?: string
  readonly problem?: { readonly error?: string; readonly message?: string }
  readonly done?: true
}

/** How far a feed has come, whether anything of it has since the last turn, and whether that was all. */
interface State {
  since: string | undefined
  heard: boolean
  isDone: boolean
}

/** Follows at one replica after another; fails when none has had anything to say for the time of the command. */
const follow = (remote: Remote.Remote, given: Remote.Given, query: URLSearchParams, since: string | undefined) =>
  Effect.callback<void, Usage | Failed | Ended>((resume, signal) => {
    const state: State = { since, heard: false, isDone: false }
    let failingSince = performance.now()
    const run = async (): Promise<unknown> => {
      for (let turn = 0; ; turn++) {
        const url = remote.urls[turn % remote.urls.length]!
        const asked = new URLSearchParams(query)
        if (state.since !== undefined) asked.set("since", state.since)
        state.heard = false
        const why = await one(remote, given, `${url}/v1/changes?${asked}`, state, signal).catch(
          (error: unknown) => error
        )
        if (why === undefined || signal.aborted) return undefined
        if (why instanceof Remote.Answered && why.isFinal) return why
        if (state.heard) failingSince = performance.now()
        if (performance.now() - failingSince > given.timeout * 1000) return Remote.unanswered(url, why)
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    }
    void run().then((why) => resume(why === undefined ? Effect.void : Remote.refused(given, why)))
  })

/** Follows at one replica. Undefined when the feed has ended as it should; fails where it broke off, or cannot go on. */
const one = async (
  remote: Remote.Remote,
  given: Remote.Given,
  url: string,
  state: State,
  signal: AbortSignal
): Promise<undefined> => {
  const silence = new AbortController()
  const wait = (millis: number) =>
    setTimeout(() => silence.abort(new Error(`nothing has come for ${millis / 1000} s`)), millis)
  let timer = wait(Remote.firstMillis(given))
  try {
    const headers = { accept: "application/x-ndjson" }
    const answer = await remote.fetch(url, { signal: AbortSignal.any([signal, silence.signal]), headers })
    if (!answer.ok) throw await Remote.answered(answer, url)
    let rest = ""
    for await (const text of answer.body!.pipeThrough(new TextDecoderStream())) {
      clearTimeout(timer)
      timer = wait(silenceMillis)
      const lines = (rest + text).split("\n")
      rest = lines.pop()!
      for (const line of lines) if (line !== "") take(lineOf(line, url), given, url, state)
    }
  } finally {
    clearTimeout(timer)
  }
  if (state.isDone) return undefined
  throw new Error("the connection ended")
}

/** How long nothing may come: a replica says every 15 seconds that it is there. */
const silenceMillis = 40_000

/** Of these each line of a feed has one. */
const fields = ["writeId", "position", "problem", "done"] satisfies ReadonlyArray<keyof Line>

const lineOf = (text: string, url: string): Line => {
  const line = Remote.objectIn(text)
  if (line !== undefined && fields.some((field) => field in line)) return line
  throw new Remote.Answered(url, 200, undefined)
}

/** Prints what a line says, and keeps its position. Fails where it is the last. */
const take = (said: Line, given: Remote.Given, url: string, state: State): void => {
  const { problem } = said
  if (problem !== undefined) {
    // What its position is of is gone: another replica would say the same.
    const isGone = problem.error === "write_replaced" || problem.error === "changes_forgotten"
    const message = `${problem.message ?? "the feed ended"}${isGone ? "; begin anew" : ""}`
    throw new Remote.Answered(url, isGone ? 410 : 503, { ...problem, message })
  }
  if (said.writeId !== undefined) console.log(given.json ? jsonOf(said) : textOf(said))
  if (said.position !== undefined) {
    state.since = said.position
    state.heard = true
  }
  if (said.done === true) state.isDone = true
}

/** In the words of `quorum import`: bytes are `base64`. */
const jsonOf = ({ value, ...line }: Line): string =>
  JSON.stringify(value === undefined ? line : { ...line, base64: value })

const textOf = ({ clock, json, key, namespace, text, value, ...line }: Line): string => {
  const at = new Date(clock?.wallTime ?? 0).toISOString()
  const shown =
    line.delete === true
      ? "deleted"
      : text !== undefined
        ? JSON.stringify(cut(text))
        : value !== undefined
          ? `${Buffer.from(value, "base64").length} bytes`
          : cut(JSON.stringify(json))
  return printable(`${at}  ${namespace}/${key}  ${shown}`).replaceAll("\n", "\\n")
}

const cut = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)}…` : text)
