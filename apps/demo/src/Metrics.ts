/**
 * What the metrics of the replicas say while the demo runs, read as Prometheus reads them.
 */
import type { Entry } from "@quorum/core"
import { Definitions } from "@quorum/metrics"
import { Effect, Exit, Option, Schedule, Stream } from "effect"
import { HttpClient } from "effect/http"
import type { Answer, Client } from "./Client.ts"
import type { DemoSet, Member } from "./DemoSet.ts"
import type { Seen } from "./Report.ts"

/** The series of one answer, by name and labels as they are written. */
export type Series = ReadonlyMap<string, number>

/** Reads Prometheus' text format, as far as it is needed here. */
export const parse = (text: string): Series =>
  new Map(
    text.split("\n").flatMap((line) => {
      const found = /^([a-z]\S*(?:\{.*\})?) (\S+)$/.exec(line)
      return found === null ? [] : [[found[1]!, Number(found[2])] as const]
    })
  )

/** What a replica's metrics say now; none when it cannot be asked. */
export const read = (member: Member) =>
  HttpClient.get(`${member.url}/metrics`).pipe(
    Effect.flatMap((response) => response.text),
    Effect.timeout(patienceMillis),
    Effect.map(parse),
    Effect.option
  )

/** Looks at the metrics of all replicas again and again, until the scope closes. */
export const watch = Effect.fnUntraced(function* (set: DemoSet) {
  const http = yield* HttpClient.HttpClient
  const answers = new Map<Member, { committed: number; notMet: number; unknown: number; repeated: number }>()
  /** Writes that were sent, and of which nobody knew what became of them. */
  const doubtful = new WeakSet<Entry.Write>()
  const most = new Map<string, { lag: number; seconds: number }>()
  const look = (member: Member) => Effect.provideService(read(member), HttpClient.HttpClient, http)

  const note = (member: Member, series: Series): void => {
    for (const { id } of set.members) {
      const known = most.get(`${member.id} ${id}`) ?? { lag: 0, seconds: 0 }
      known.lag = Math.max(known.lag, of(series, "peerLag", id))
      known.seconds = Math.max(known.seconds, of(series, "peerLagTime", id))
      most.set(`${member.id} ${id}`, known)
    }
  }
  const lookAtAll = Effect.suspend(() =>
    Effect.forEach(
      set.alive(),
      (member) => Effect.map(look(member), (series) => Option.isSome(series) && note(member, series.value)),
      { concurrency: "unbounded", discard: true }
    )
  )
  yield* lookAtAll.pipe(Effect.repeat(Schedule.spaced(watchMillis)), Effect.forkScoped)

  const count = (member: Member) => {
    const known = answers.get(member) ?? { committed: 0, notMet: 0, unknown: 0, repeated: 0 }
    answers.set(member, known)
    return known
  }

  const noteAnswer = (member: Member, write: Entry.Write, { _tag }: Answer): void => {
    const known = count(member)
    if (_tag === "Committed") {
      known.committed++
      if (doubtful.has(write)) known.repeated++
    } else if (_tag === "Unknown") {
      known.unknown++
      doubtful.add(write)
    } else if (_tag === "NotMet") known.notMet++
  }

  return {
    /** A client whose answers are counted. */
    counting: (client: Client): Client => ({
      ...client,
      write: (member, write, options) =>
        Effect.tap(client.write(member, write, options), (answer) =>
          Effect.sync(() => noteAnswer(member, write, answer))
        ),
      writeMany: (member, writes) => {
        const silent = new Set(writes.keys())
        const rest = (exit: Exit.Exit<unknown, Answer>): void => {
          const said = Option.getOrElse(Exit.findErrorOption(exit), (): Answer => ({ _tag: "Unknown", detail: "" }))
          for (const place of silent) noteAnswer(member, writes[place]!.write, said)
        }
        return Stream.mapArray(client.writeMany(member, writes), (answers) => {
          for (const [place, answer] of answers) {
            silent.delete(place)
            noteAnswer(member, writes[place]!.write, answer)
          }
          return answers
        }).pipe(Stream.onExit((exit) => Effect.sync(() => rest(exit))))
      }
    }),
    /** What a replica that was not among the killed says, once nobody is behind any more, or after a while. */
    seen: Effect.fnUntraced(function* (killed: ReadonlyArray<string>) {
      const survivor = set.members.find(({ id }) => !killed.includes(id))
      if (survivor === undefined) return null
      const isLevel = (series: Series): boolean => killed.every((id) => of(series, "peerLag", id) === 0)
      const series = yield* look(survivor).pipe(
        Effect.tap(Effect.sleep(pollMillis)),
        Effect.repeat({ until: (found) => Option.isSome(found) && isLevel(found.value) }),
        Effect.timeoutOption(levelMillis),
        Effect.flatMap((found) => (Option.isSome(found) ? Effect.succeed(found.value) : look(survivor)))
      )
      return Option.isNone(series) ? null : summary(survivor, killed, series.value)
    })
  }

  function summary(survivor: Member, killed: ReadonlyArray<string>, series: Series): Seen {
    const demo = count(survivor)
    const outcome = (name: string): number =>
      series.get(`${Definitions.prometheus("commits")}{${Definitions.label("quorum.outcome")}="${name}"}`) ?? 0
    return {
      replica: survivor.id,
      committed: { metrics: outcome("committed"), demo: demo.committed },
      notMet: { metrics: outcome("quorum_not_met"), demo: demo.notMet },
      unknown: demo.unknown,
      repeated: demo.repeated,
      peers: Object.fromEntries(
        killed.map((id) => {
          const { lag, seconds } = most.get(`${survivor.id} ${id}`) ?? { lag: 0, seconds: 0 }
          return [
            id,
            {
              losses: of(series, "peerLosses", id),
              connects: of(series, "peerConnects", id),
              maxLag: lag,
              maxLagSeconds: seconds,
              lag: of(series, "peerLag", id)
            }
          ]
        })
      )
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** How often the metrics are read during a run: whoever answers has less time for writes. */
const watchMillis = 250
const pollMillis = 100
const patienceMillis = 2000

/** How long the metrics may take to see what the logs have shown already: a heartbeat, and time to spare. */
const levelMillis = 5000

const of = (series: Series, key: Definitions.Key, peer: string): number =>
  series.get(`${Definitions.prometheus(key)}{${Definitions.label("quorum.peer")}="${peer}"}`) ?? 0
