/**
 * `quorum status`: how the replicas are, as each says itself.
 */
import type { ReplicaStatus } from "@quorum/client"
import { Console, Effect } from "effect"
import { Command } from "effect/cli"
import * as Table from "../tools/Table.ts"
import * as Text from "../tools/Text.ts"
import { Ended } from "./Ending.ts"
import * as Keeping from "./keeping.ts"
import * as Remote from "./remote.ts"

/** The command. */
export const command = Command.make(
  "status",
  Remote.flags,
  Effect.fnUntraced(function* (given) {
    const remote = yield* Remote.connect(given)
    const replicas = yield* Remote.ask(given, (signal) => remote.client.status({ signal }))
    if (given.json) {
      yield* Console.log(
        JSON.stringify(
          replicas.map(({ error, status, url }) => ({
            url,
            ...(status === undefined ? { error: Remote.messageOf(error) } : { status })
          })),
          null,
          2
        )
      )
    } else
      yield* Console.log(
        [
          ...Table.lines(head, replicas.map(rowOf)),
          ...heldBack(replicas),
          ...away(replicas),
          ...Keeping.lines(replicas, Date.now())
        ].join("\n")
      )
    if (!replicas.every(isWell)) return yield* new Ended({ code: 1 })
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Shows how the replicas are, as each says itself: whether it votes, how many peers it reaches, and how far these are " +
      "behind its own writes; and what each keeps: how much of it is live, when it was read again, what is damaged. Exit code 1 when one does not answer, does not vote, or misses a peer."
  ),
  Command.withShortDescription("Shows how the replicas are"),
  Command.withExamples([
    { command: "quorum status", description: "The replicas of quorum dev" },
    { command: "quorum status --url http://10.0.0.1:7401,http://10.0.0.2:7401 --json", description: "For programs" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

const head = ["replica", "url", "state", " writes", " peers", " lag", " skew"]

const isUp = ({ link }: { readonly link: string }): boolean => link === "up"

const stateOf = ({ status }: ReplicaStatus): string => {
  if (status === undefined) return "no answer"
  if (status.storeFault !== null && status.storeFault !== undefined) return "store fails"
  if (Number(status.diskStalledMillis ?? 0) > 0) return "disk stands"
  const toFetch = Number(status["toFetch"] ?? 0)
  if (!status.voting) return toFetch > 0 ? `fetches ${Text.number(toFetch)} entries` : "does not vote"
  if (!status.recovered) return "recovering"
  return "ok"
}

const isWell = (replica: ReplicaStatus): boolean => stateOf(replica) === "ok" && replica.status!.peers.every(isUp)

/** From when on it is said that stable time does not rise, in milliseconds: it does so every minute or two. */
const stillMillis = 10 * 60_000

/** Which replicas say that stable time stands still, so that deleted data cannot be forgotten, and who holds it back. */
const heldBack = (replicas: ReadonlyArray<ReplicaStatus>): ReadonlyArray<string> =>
  replicas.flatMap(({ status }) => {
    const stable = status?.["stableTime"] as
      | { readonly heldBackBy: ReadonlyArray<string>; readonly since: number }
      | undefined
    const millis = stable === undefined ? 0 : Date.now() - stable.since
    if (stable === undefined || millis < stillMillis) return []
    const by = stable.heldBackBy.join(", ")
    return [
      `${status!.identity.replica}: stable time has not risen for ${Math.round(millis / 60_000)} min; it is held back by ${by}`
    ]
  })

/** Which replicas say that a member is away too long. */
const away = (replicas: ReadonlyArray<ReplicaStatus>): ReadonlyArray<string> =>
  replicas.flatMap(({ status }) =>
    (status?.peers ?? []).flatMap((peer) => {
      const { away, replica } = peer as { readonly away?: "marked" | "left_out" | null; readonly replica: string }
      if (away === undefined || away === null) return []
      const told = away === "marked" ? "has marked it as away too long" : "goes on without it, as a majority does"
      return [`${replica}: ${status!.identity.replica} ${told}`]
    })
  )

const rowOf = (replica: ReplicaStatus): ReadonlyArray<string> => {
  const { error, status, url } = replica
  if (status === undefined) return ["?", url, `no answer: ${Remote.messageOf(error)}`]
  const { identity, peers } = status
  const own = (status["vector"] as ReadonlyArray<{ log: string; seq: number }>).find(({ log }) => log === status["log"])
  const skews = peers.map((peer) =>
    Math.abs(Number((peer as { clockSkewMillis?: number | null }).clockSkewMillis ?? 0))
  )
  return [
    identity.replica,
    url,
    stateOf(replica),
    Text.number(own?.seq ?? 0),
    `${peers.filter(isUp).length}/${peers.length}`,
    Text.number(Math.max(0, ...peers.map(({ lag }) => lag))),
    `${Math.round(Math.max(0, ...skews))} ms`
  ]
}
