/**
 * When a replica that lost something says that it does not vote, and what was asked in that time.
 */
import { Effect, Option } from "effect"
import type { Client } from "../Client.ts"
import type { Member } from "../DemoSet.ts"
import type * as History from "./History.ts"

/**
 * A replica did not vote: what was asked at or after `from` and answered before `to`, in the order of the history, was asked
 * and answered in that time.
 */
export interface Window {
  readonly at: string
  readonly from: number
  readonly to: number
}

/** Whom is asked, and what becomes known. */
export interface Context {
  readonly client: Client
  readonly load: { readonly history: History.History; readonly recovering: Array<Window> }
}

/** Asks a replica again and again whether it votes, as long as something else goes on. */
export const during = <A>(context: Context, member: Member, effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.raceFirst(effect, watch(context, member))

/** How many requests were sent to a replica while it did not vote. */
export const asked = (operations: ReadonlyArray<History.Operation>, windows: ReadonlyArray<Window>): number =>
  windows.reduce(
    (sum, { at: member, from, to }) =>
      sum + operations.filter(({ at, begun }) => at === member && begun >= from && begun < to).length,
    0
  )

// ---------------------------------------------------------------------------------------------------------------------

const pollMillis = 20

const watch = Effect.fnUntraced(function* ({ client, load: { history, recovering } }: Context, member: Member) {
  let incarnation: string | undefined
  let from = 0
  while (true) {
    const askedAt = history.order
    const status = Option.getOrUndefined(yield* Effect.option(client.status(member)))
    const isAgain = status?.voting === false && status.identity.incarnation === incarnation
    if (isAgain) {
      if (recovering.at(-1)?.at === member.id && recovering.at(-1)?.from === from) recovering.pop()
      recovering.push({ at: member.id, from, to: askedAt })
    } else {
      incarnation = status?.voting === false ? status.identity.incarnation : undefined
      from = history.order
    }
    yield* Effect.sleep(pollMillis)
  }
})
