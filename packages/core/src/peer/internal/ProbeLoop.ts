/**
 * Asks one peer for its clock over one connection, one question after the other, as long as writes wait for it.
 */
import { Clock, Effect } from "effect"
import * as Monotonic from "../../log/Monotonic.ts"
import type * as PeerMethods from "../PeerMethods.ts"
import { Probes } from "../Probes.ts"
import type { ReplicaId } from "../../identity/ReplicaId.ts"
import * as UnderWay from "./UnderWay.ts"

/** Ends only by failing, as when a question stays without an answer for too long. */
export const run = Effect.fnUntraced(function* (options: {
  readonly peer: ReplicaId
  readonly client: PeerMethods.PeerClient
  readonly session: string
  readonly timeoutMillis: number
  /** The hash of the lives of the members that this replica knows of. */
  readonly members: () => number
  /** The peer knows of other lives: what either knows is told in a handshake. */
  readonly greetAgain: () => void
}) {
  const { client, greetAgain, members, peer, session, timeoutMillis } = options
  const probes = yield* Probes
  const clock = yield* Clock.Clock
  const asker = probes.asker(peer)
  const calls = UnderWay.make(peer, timeoutMillis, () => Monotonic.millis(clock))
  const ask = Effect.gen(function* () {
    while (true) {
      const isGathered = yield* asker.wanted
      // One turn: who is called in it is served by this question.
      if (!isGathered) yield* Effect.yieldNow
      const question = asker.next()
      calls.began(question)
      const answer = yield* Effect.catchTag(client.probe({ session, keys: question.keys }), "NotVoting", noAnswer)
      calls.ended(question)
      // A former life answers as if it still had what it acknowledged (law L57).
      if (answer?.members === members()) {
        asker.answered(question, answer)
        continue
      }
      asker.unanswered()
      if (answer !== undefined) greetAgain()
      yield* Effect.sleep(pauseMillis)
    }
  })
  return yield* Effect.ensuring(Effect.raceFirst(ask, calls.watch), Effect.sync(asker.end))
})

// ---------------------------------------------------------------------------------------------------------------------

/** How long a peer whose answer does not count is left alone before it is asked again, in milliseconds. */
const pauseMillis = 200

const noAnswer = () => Effect.succeed(undefined)
