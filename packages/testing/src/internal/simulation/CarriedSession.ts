/**
 * The session that a client carries from replica to replica, with what it did and saw: each answer brings it further.
 */
import { ClientSession, ClientSessions, type Receipt, type ReplicaId } from "@quorum/core"
import { Effect, Option } from "effect"
import { type Outcome, patienceMillis } from "./Calls.ts"
import type { Operation, Session } from "./History.ts"
import type { World } from "./World.ts"

/** What a client carries; no session where it carries none. */
export interface Carried {
  session: Session | undefined
}

/** Nothing was done or seen in it. */
export const begin = (carried: Carried, client: number): void => {
  const begun = carried.session === undefined ? 0 : Number(carried.session.name.split(".")[1]) + 1
  carried.session = { name: `${client}.${begun}`, value: ClientSession.empty }
}

/** Takes in what came of a write. */
export const wrote = (
  world: World,
  carried: Carried,
  at: ReplicaId.ReplicaId,
  operations: ReadonlyArray<Operation>,
  outcome: Outcome
): Effect.Effect<void> => {
  const written = writtenBy(outcome)
  if (written === undefined) return Effect.void
  // What has not met its quorum is come after, and not waited for.
  const seen = written === "unmet" ? [] : operations
  return extend(world, carried, at, seen, (sessions, session) => sessions.afterWrites(session, [written]))
}

/** Takes in an answer, by what the replica that gave it makes of the session. It is lost with a replica that is. */
export const extend = Effect.fnUntraced(function* (
  world: World,
  carried: Carried,
  at: ReplicaId.ReplicaId,
  operations: ReadonlyArray<Operation>,
  after: (
    sessions: ClientSessions.ClientSessions["Service"],
    session: ClientSession.ClientSession
  ) => Effect.Effect<ClientSession.ClientSession>
) {
  const { session } = carried
  if (session === undefined) return
  const asked = Effect.flatMap(ClientSessions.ClientSessions, (sessions) => after(sessions, session.value))
  const extended = yield* Effect.option(Effect.timeoutOption(world.at(at, asked), patienceMillis))
  const value = Option.getOrUndefined(Option.flatten(extended))
  if (value === undefined) return
  // As clients carry it.
  carried.session = { name: session.name, value: Option.getOrThrow(ClientSession.decode(ClientSession.encode(value))) }
  for (const operation of operations) operation.isSeen = true
})

/** What of it can be seen for good is lost: its client begins anew. */
export const failed = (carried: Carried, client: number, { outcome }: Operation): void => {
  if (carried.session !== undefined && (outcome === "WriteReplaced" || outcome === "NotYetVisible"))
    begin(carried, client)
}

// ---------------------------------------------------------------------------------------------------------------------

const writtenBy = (outcome: Outcome): ClientSessions.Written | undefined => {
  if (outcome._tag === "Receipt") return writeOf(outcome.receipt)
  return outcome._tag === "Failure" && outcome.error._tag === "QuorumNotMet" ? "unmet" : undefined
}

const writeOf = ({ clock, writeId }: Receipt.Receipt): ClientSessions.Written => ({ clock, writeId })
