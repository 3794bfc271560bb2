/**
 * New certificates for all replicas while records are written, and what becomes of whoever shows one that does not count.
 */
import { Entry } from "@quorum/core"
import { type Lines, Progress, Text } from "@quorum/server/tools"
import { Clock, Effect, Option, Stream } from "effect"
import type { Certificates, Shown } from "./Certificates.ts"
import type { Client } from "./Client.ts"
import type { DemoSet, Member } from "./DemoSet.ts"
import * as Import from "./Import.ts"
import * as Knock from "./Knock.ts"
import type * as Report from "./Report.ts"

interface Context {
  readonly set: DemoSet
  readonly client: Client
  readonly state: Import.Import
}

/**
 * Exchanges the certificates of all members, one after the other, those that were killed among them, and writes records
 * until that is done. Each has its next one put on the list, then in its place, and then the former taken off the list; and
 * each of these steps waits until all that run have taken it in.
 */
export const renew = Effect.fnUntraced(function* ({ client, set, state }: Context, certificates: Certificates) {
  const { say } = yield* Progress.Progress
  const { alive, members, transport } = set
  yield* say("The certificates of all replicas are exchanged, one after the other, while records are written")
  const startedAt = yield* Clock.currentTimeMillis
  const problems: Array<string> = []
  const fingerprints: Record<string, { readonly former: string; readonly current: string }> = {}
  const formers = new Map<Member, Shown>()

  /** Asks all members that run, again and again, until each answers as it should. */
  const until = (what: string, asked: ReadonlyArray<Member>, shown: Shown, isSo: (answer: Knock.Answer) => boolean) =>
    Effect.forEach(asked, (member) => Knock.knock(member, transport, certificates, shown), {
      concurrency: "unbounded"
    }).pipe(
      Effect.tap(Effect.sleep(pollMillis)),
      Effect.repeat({ until: (answers) => answers.every(isSo) }),
      Effect.timeoutOption(patienceMillis),
      Effect.tap((done) => Effect.sync(() => void (Option.isNone(done) && problems.push(what))))
    )

  const renewOne = Effect.fnUntraced(function* (member: Member) {
    const { id } = member
    const next = certificates.sign(id)
    yield* until(`not all take the next certificate of ${id}`, alive(), next, Knock.isLetIn)
    const former = certificates.exchange(id, next)
    formers.set(member, former)
    fingerprints[id] = { former: former.fingerprint, current: next.fingerprint }
    const itself = alive().filter((one) => one === member)
    yield* until(`${id} does not show its next certificate`, itself, next, ({ fingerprint }) => {
      return fingerprint === next.fingerprint
    })
    certificates.strike(former)
    yield* until(`the former certificate of ${id} counts still`, alive(), former, Knock.isRefused)
  })

  const written = Import.make()
  let isOver = false
  const lines = Stream.unfold(1, (number) =>
    Effect.as(Effect.sleep(writeMillis), isOver ? undefined : ([lineOf(number), number + 1] as const))
  )
  yield* Effect.all(
    [
      Import.run({ state: written, lines, set, client, writers, onProgress: () => {} }),
      Effect.forEach(members, renewOne, { discard: true }).pipe(Effect.ensuring(Effect.sync(() => (isOver = true))))
    ],
    { concurrency: "unbounded", discard: true }
  )
  Import.absorb(state, written)
  const [failed] = written.failed
  if (failed !== undefined) {
    problems.push(`${written.failed.length} records were not written under new certificates: ${failed.reason}`)
  }
  const tookMs = (yield* Clock.currentTimeMillis) - startedAt
  yield* say(
    `  all ${members.length} have new ones after ${Text.seconds(tookMs)}, in which ${Text.number(written.committed)} ` +
      `records were committed`
  )
  const story = { records: written.committed, sentAgain: written.sentAgain, tookMs, fingerprints }
  return { story, formers, problems }
})

/** Has everybody call at every replica who is no member any more, or none yet, and a member to compare. */
export const turnAway = Effect.fnUntraced(function* (
  set: DemoSet,
  certificates: Certificates,
  formers: ReadonlyMap<Member, Shown>
) {
  const { say } = yield* Progress.Progress
  const { members, transport } = set
  const problems: Array<string> = []
  const refused: Array<Report.TurnedAway> = []
  for (const [i, member] of members.entries()) {
    const other = members[(i + 1) % members.length]!
    const as = (shown?: Shown) => Knock.knock(member, transport, certificates, shown)
    const strangers = {
      "no certificate": undefined,
      [`the certificate of ${other.id} that has expired`]: certificates.expired(other.id),
      [`the former certificate of ${other.id}`]: formers.get(other)
    }
    for (const [what, shown] of Object.entries(strangers)) {
      const answer = yield* as(shown)
      if (Knock.isRefused(answer)) refused.push({ at: member.id, shown: what })
      else problems.push(`${member.id} took ${what}: ${answer.status}`)
    }
    const proper = yield* as(certificates.current(other.id))
    if (!Knock.isLetIn(proper))
      problems.push(`${member.id} does not take the certificate of ${other.id}: ${proper.status}`)
    if (proper.fingerprint !== certificates.current(member.id).fingerprint) {
      problems.push(`${member.id} does not show the certificate that it was given`)
    }
  }
  yield* say(
    `${refused.length} of ${3 * members.length} calls with no certificate, an expired one or a former one were refused`
  )
  return { refused, problems }
})

// ---------------------------------------------------------------------------------------------------------------------

const lineOf = (number: number): Lines.WriteLine => ({
  _tag: "Write",
  number,
  write: Entry.put("quorum-demo-renewal", `record-${number}`, `"written while certificates were exchanged: ${number}"`)
})

/** How many records are under way at once, and how long after the last one the next comes, in milliseconds. */
const writers = 64
const writeMillis = 5

const pollMillis = 100

/** Files are read once a second, and connections that do not count any more end within two. */
const patienceMillis = 15_000
