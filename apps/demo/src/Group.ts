/**
 * Lines that travel together: one request draws their stamps, and one carries them. Each has its own answer, and keeps its
 * stamp: sent again, to whatever replica, it is the same write.
 */
import type { StampToken } from "@quorum/core"
import type { Lines } from "@quorum/server/tools"
import { Clock, Effect, Stream } from "effect"
import type { Answer, Client, Stamped } from "./Client.ts"
import type { Member } from "./DemoSet.ts"

/** Lines, and what is known of each by its place among them. */
export interface Group {
  readonly lines: ReadonlyArray<Lines.WriteLine>
  readonly stamps: Array<StampToken.StampToken | undefined>
  readonly answers: Array<Answer>
  /** The places of those that may be sent again: neither committed nor refused. */
  open: ReadonlyArray<number>
}

/** None of them was sent yet. */
export const make = (lines: ReadonlyArray<Lines.WriteLine>): Group => ({
  lines,
  stamps: lines.map(() => undefined),
  answers: lines.map((): Answer => ({ _tag: "Unreachable", detail: "no replica is alive" })),
  open: Array.from(lines.keys())
})

/** What happens to a group on its way. All are called within the turn in which it happens, and must be quick. */
export interface Watcher {
  /** A replica is about to be asked about so many writes. */
  readonly onAsked: (writes: number) => void
  /** What is known of as many of them: answers that have come, or what the end of their request says of those without one. */
  readonly onAnswers: (answers: ReadonlyArray<Answer>) => void
}

/** Sends what is open once. Never fails: afterwards every open line has an answer, and what is settled is open no more. */
export const send = (client: Client, member: Member, group: Group, watcher: Watcher): Effect.Effect<void> => {
  const unstamped = group.open.filter((place) => group.stamps[place] === undefined)
  const writesAt = (places: ReadonlyArray<number>) => places.map((place) => group.lines[place]!.write)
  const stamp = Effect.suspend(() => client.stamp(member, writesAt(unstamped))).pipe(
    // What is not stamped in time was not sent.
    Effect.timeoutOrElse({
      duration: stampMillis,
      orElse: () => Effect.fail<Answer>({ _tag: "Unavailable", detail: "no stamps were drawn in time" })
    }),
    Effect.map((stamps) => unstamped.forEach((place, i) => (group.stamps[place] = stamps[i]!)))
  )
  return Effect.matchEffect(unstamped.length === 0 ? Effect.void : stamp, {
    onFailure: (answer) => Effect.sync(() => group.open.forEach((place) => (group.answers[place] = answer))),
    onSuccess: () => sendStamped(client, member, group, watcher)
  })
}

/** Waits at the replica that holds them for the quorum of those writes that have not met it, as long as there is time. */
export const resume = (
  client: Client,
  member: Member,
  group: Group,
  { onAnswers, onAsked }: Watcher,
  deadline: number
): Effect.Effect<void> => {
  const resumeOne = Effect.fnUntraced(function* (place: number) {
    for (
      let answer = group.answers[place]!;
      answer._tag === "NotMet" && (yield* Clock.currentTimeMillis) < deadline;
      answer = group.answers[place]!
    ) {
      onAsked(1)
      const said = yield* client.resume(member, answer.writeId)
      group.answers[place] = said
      onAnswers([said])
    }
  })
  return Effect.suspend(() =>
    Effect.forEach(
      group.open.filter((place) => group.answers[place]!._tag === "NotMet"),
      resumeOne,
      { concurrency: maxResumed, discard: true }
    ).pipe(Effect.andThen(Effect.sync(() => close(group))))
  )
}

// ---------------------------------------------------------------------------------------------------------------------

/** How long stamps and writes may take, in milliseconds: a replica answers within its deadline, 2 seconds. */
const stampMillis = 5000
const patienceMillis = 15_000

const sendStamped = (client: Client, member: Member, group: Group, { onAnswers, onAsked }: Watcher) =>
  Effect.suspend(() => {
    const places = group.open
    const isSilent = places.map(() => true)
    const note = (answers: ReadonlyArray<readonly [place: number, answer: Answer]>): void => {
      const news = answers.filter(([i]) => isSilent[i] === true)
      for (const [i, answer] of news) {
        isSilent[i] = false
        group.answers[places[i]!] = answer
      }
      onAnswers(news.map(([, answer]) => answer))
    }
    const rest = (said: Answer): void => {
      note(places.flatMap((_, i) => (isSilent[i] === true ? [[i, said] as const] : [])))
      close(group)
    }
    const writes = places.map((place): Stamped => ({ write: group.lines[place]!.write, stamp: group.stamps[place]! }))
    onAsked(writes.length)
    return Stream.runForEachArray(client.writeMany(member, writes), (answers) => Effect.sync(() => note(answers))).pipe(
      Effect.timeoutOrElse({
        duration: patienceMillis,
        orElse: () => Effect.fail<Answer>({ _tag: "Unknown", detail: "it was not answered in time" })
      }),
      Effect.match({
        onFailure: rest,
        onSuccess: () => rest({ _tag: "Unknown", detail: "the answers ended before the one to this write" })
      })
    )
  })

/** How many writes are waited for at once. */
const maxResumed = 64

/** What is settled is open no more. */
const close = (group: Group): void => {
  group.open = group.open.filter((place) => !isSettled(group.answers[place]!))
}

const isSettled = ({ _tag }: Answer): boolean => _tag === "Committed" || _tag === "Refused"
