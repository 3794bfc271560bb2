/**
 * Which processes a process has heard that knew its life: what they remember of it, it knows by then. Told by the messages
 * that pass: who answers a greeting has taken it in, and so has who uses a session, of the answer that opened it.
 */
import type { PeerProtocol } from "@quorum/core/adapter"
import type { Passing } from "./Network.ts"
import type { Owner } from "./Timeline.ts"

/** What one process has heard. */
interface Known {
  /** Who has opened a session for it, knowing its life. */
  readonly sessions: Map<string, Owner>
  /** Whom it has heard, and when, in virtual milliseconds. */
  readonly heard: Map<Owner, number>
}

const knowns = new WeakMap<Owner, Known>()

const knownOf = (process: Owner): Known => {
  const known = knowns.get(process) ?? { sessions: new Map(), heard: new Map() }
  knowns.set(process, known)
  return known
}

/** Who has sent a greeting. */
const senders = new WeakMap<object, Owner>()

/** Takes in a message that passes now. Returns whom its sender has certainly heard when it said this. */
export const onPassing = ({ answer, by, from, name, request, to }: Passing, now: number): Owner | undefined => {
  const known = knownOf(by)
  const heard = (who: Owner | undefined): Owner | undefined => {
    if (who !== undefined && !known.heard.has(who)) known.heard.set(who, now)
    return who
  }
  if (name !== "hello") {
    return answer === undefined
      ? heard(known.sessions.get((request as { readonly session: string }).session))
      : undefined
  }
  const asked = request as PeerProtocol.Hello
  if (answer === undefined) {
    senders.set(asked, by)
    return undefined
  }
  const sender = senders.get(asked)
  const welcome = answer as PeerProtocol.Welcome
  if (sender !== undefined && welcome.members[to]?.incarnation === asked.incarnation)
    knownOf(sender).sessions.set(welcome.session, by)
  return asked.members[from]?.incarnation === welcome.incarnation ? heard(sender) : undefined
}

/** Whether a process has heard another before now. What it was about to say when it was paused it says all the same. */
export const hasHeard = (process: Owner, who: Owner, now: number): boolean => {
  const at = knownOf(process).heard.get(who)
  return at !== undefined && now > Math.max(at, process.wentOnAt)
}

/** Whether a process has heard anybody before now. */
export const hasHeardAny = (process: Owner, now: number): boolean =>
  Array.from(knownOf(process).heard.keys()).some((who) => hasHeard(process, who, now))
