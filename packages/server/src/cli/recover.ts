/**
 * `quorum recover`: has a replica that does not vote go on without members that will never come.
 */
import { Console, Effect, Schedule } from "effect"
import { Command, Flag } from "effect/cli"
import type { Answer } from "../RecoverRoute.ts"
import * as RecoverRoute from "../RecoverRoute.ts"
import { printable } from "../tools/Progress.ts"
import { Ended, Usage } from "./Ending.ts"
import * as Remote from "./remote.ts"

/** The command. */
export const command = Command.make(
  "recover",
  {
    giveUp: Flag.String("give-up").pipe(
      Flag.withMetavar("ID,ID,…"),
      Flag.withDescription("The members that will never come, or whose stores are lost"),
      Flag.atLeast(1)
    ),
    yes: Flag.Boolean("yes").pipe(
      Flag.withDescription("Do it; without this it is only said what is lost"),
      Flag.withDefault(false)
    ),
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ giveUp, yes, ...given }) {
    const remote = yield* Remote.connect(given)
    const [url, ...others] = remote.urls
    if (url === undefined || others.length > 0) {
      return yield* new Usage({ detail: "--url: give one, that of the replica that is to go on" })
    }
    const givenUp = giveUp.flatMap((ids) => ids.split(",")).map((id) => id.trim())
    const ask = (confirmed: boolean) =>
      Remote.ask(given, async (signal): Promise<Answer> => {
        const answer = await remote
          .fetch(`${url}${RecoverRoute.path}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ givenUp, confirmed }),
            signal: AbortSignal.any([signal, AbortSignal.timeout(Remote.firstMillis(given))])
          })
          .catch((error: unknown) => Promise.reject(Remote.unanswered(url, error)))
        if (!answer.ok) throw named(await Remote.answered(answer, url))
        return await Remote.jsonOf<Answer>(answer, url, "replica", "loss")
      })
    // What is lost is said before it is done.
    const asked = yield* ask(false)
    if (!given.json)
      yield* Console.log(`${asked.replica} would wait no longer for ${givenUp.join(", ")}: ${printable(asked.loss)}`)
    if (!yes) {
      yield* Console.log(
        given.json
          ? JSON.stringify(asked)
          : "nothing was changed; if that is what you want, the same command with --yes does it"
      )
      return yield* new Ended({ code: 1 })
    }
    const done = yield* ask(true)
    const obstacle = yield* voting(remote, given, url)
    yield* Console.log(
      given.json
        ? JSON.stringify({ ...done, voting: obstacle === undefined })
        : obstacle === undefined
          ? `${done.replica} votes`
          : `${done.replica} waits no longer for them, and does not vote yet: ${printable(obstacle)}`
    )
    if (obstacle !== undefined) return yield* new Ended({ code: 1 })
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Has a replica that does not vote wait no longer for members that will never come: a replica set of which one is never " +
      "started, or of which more have lost their stores than may at once. What only those members held is lost, though it " +
      "was acknowledged; says what that is first, and does it with --yes. A replica that votes needs none of this, and one " +
      "member that is gone is replaced by an empty folder alone. It holds until the replica votes, or is stopped."
  ),
  Command.withShortDescription("Goes on without members that will never come"),
  Command.withExamples([
    { command: "quorum recover --url http://10.0.0.1:7401 --give-up c", description: "What would be lost without c" },
    { command: "quorum recover --url http://10.0.0.1:7401 --give-up c --yes", description: "Goes on without it" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

/** By the name that the command line has for it. */
const named = (answered: Remote.Answered): Remote.Answered => {
  answered.message = answered.message.replace(/^(?:givenUp|body):/, "--give-up:")
  return answered
}

/** Waits until it votes, and otherwise says at the end why not. */
const voting = (remote: Remote.Remote, given: Remote.Given, url: string) =>
  Remote.ask(given, async (signal) => {
    const answer = await remote
      .fetch(`${url}/v1/status`, { signal: AbortSignal.any([signal, AbortSignal.timeout(Remote.firstMillis(given))]) })
      .catch((error: unknown) => Promise.reject(Remote.unanswered(url, error)))
    if (!answer.ok) throw await Remote.answered(answer, url)
    type Status = { readonly obstacle: string | null; readonly voting: boolean }
    const { obstacle, voting } = await Remote.jsonOf<Status>(answer, url, "obstacle", "voting")
    return voting ? undefined : (obstacle ?? "it recovers")
  }).pipe(
    Effect.repeat({
      until: (obstacle) => obstacle === undefined,
      schedule: Schedule.spaced(500),
      times: given.timeout * 2
    })
  )
