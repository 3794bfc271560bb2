/**
 * Which members may be given up, and why others may not: nobody is given up by mistake. Pure.
 */
import { Schema } from "effect"
import type { ReplicaId } from "../identity/ReplicaId.ts"
import type { PeerState } from "./Peers.ts"

/** Members cannot be given up. Nothing has changed. */
export class RecoveryRefused extends Schema.TaggedError<RecoveryRefused>()("RecoveryRefused", {
  /** `invalid`: what was given names no members. `needless`: nothing has to be given up. */
  reason: Schema.Literals(["invalid", "needless"]),
  /** The argument. */
  field: Schema.Literal("givenUp"),
  /** What is wrong with it, and what to do. */
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.field}: ${this.detail}`
  }
}

/** Why these members cannot be given up; `undefined` when they can. */
export const refusalOf = (
  givenUp: ReadonlyArray<ReplicaId>,
  { isVoting, peers }: { readonly isVoting: boolean; readonly peers: ReadonlyArray<PeerState> }
): RecoveryRefused | undefined => {
  const names = peers.map(({ id }) => id)
  const stranger = givenUp.find((id) => !names.includes(id))
  if (stranger !== undefined) {
    const theirs = names.length === 0 ? "it has none" : `its peers are ${names.join(", ")}`
    return refused("invalid", `${stranger} is no peer of this replica: ${theirs}`)
  }
  if (isVoting) return refused("needless", "this replica votes, and waits for nobody")
  if (givenUp.length === 0) return refused("invalid", `name those of ${names.join(", ")} that will never come`)
  const there = peers.find(({ id, link, voting }) => givenUp.includes(id) && link._tag === "Up" && voting)
  return there && refused("needless", `${there.id} votes and can be reached: wait until what it holds is here`)
}

// ---------------------------------------------------------------------------------------------------------------------

const refused = (reason: RecoveryRefused["reason"], detail: string): RecoveryRefused =>
  new RecoveryRefused({ reason, field: "givenUp", detail })
