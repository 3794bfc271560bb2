/**
 * Writes that are asked for at the same time share a request: one for each costs a replica more than the write itself.
 *
 * Each has a stamp before it is sent, and keeps it: sent again, to whatever replica, it is the same write.
 */
import { Effect, Latch, type Scope, Semaphore, Stream } from "effect"
import type { Entry, StampToken } from "@quorum/core"
import type { Answer, Client, Stamped } from "./Client.ts"
import type { Member } from "./Cluster.ts"

/** A client whose writes share requests, unless they ask for a number of replicas of their own. Until the scope closes. */
export const make = Effect.fnUntraced(function* (
  client: Client,
  members: ReadonlyArray<Member>
): Effect.fn.Return<Client, never, Scope.Scope> {
  const stamps = new WeakMap<Entry.Write, StampToken.StampToken>()
  /** Has the stamps drawn that are missing. */
  const stamped = Effect.fnUntraced(function* (member: Member, writes: ReadonlyArray<Entry.Write>) {
    const unstamped = writes.filter((write) => !stamps.has(write))
    if (unstamped.length > 0) {
      const drawn = yield* client.stamp(member, unstamped)
      for (const [i, write] of unstamped.entries()) stamps.set(write, drawn[i]!)
    }
    return writes.map((write): Stamped => ({ write, stamp: stamps.get(write)! }))
  })
  const writers = new Map<Member, Effect.Success<ReturnType<typeof makeWriter>>>()
  for (const member of members) {
    const writeMany = (writes: ReadonlyArray<Stamped>) => client.writeMany(member, writes)
    writers.set(member, yield* makeWriter((writes) => stamped(member, writes), writeMany))
  }
  return {
    ...client,
    write: (member, write, w) => (w === undefined ? writers.get(member)!(write) : client.write(member, write, w))
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** How many requests to one replica are under way at once, each for its stamps and then itself, and how many writes one may have. */
const maxRequests = 2
const maxWrites = 1000

/** How long stamps and writes may take, in milliseconds: a replica answers within its deadline, 2 seconds. */
const stampMillis = 5000
const patienceMillis = 15_000

interface Waiting {
  readonly write: Entry.Write
  readonly answered: (answer: Answer) => void
}

/** Sends what waits as soon as a request may be made, and all of it that there is room for. */
const makeWriter = Effect.fnUntraced(function* (
  stamped: (writes: ReadonlyArray<Entry.Write>) => Effect.Effect<ReadonlyArray<Stamped>, Answer>,
  writeMany: (writes: ReadonlyArray<Stamped>) => Stream.Stream<readonly [place: number, answer: Answer], Answer>
) {
  const waiting: Array<Waiting> = []
  const more = Latch.makeUnsafe(false)
  const requests = yield* Semaphore.make(maxRequests)

  const send = (batch: ReadonlyArray<Waiting>) => {
    const open = new Map(batch.entries())
    const answer = (place: number, answer: Answer): void => {
      open.get(place)?.answered(answer)
      open.delete(place)
    }
    const rest = (said: Answer): void => {
      for (const place of Array.from(open.keys())) answer(place, said)
    }
    // What is not stamped in time was not sent.
    return Effect.timeoutOrElse(stamped(batch.map(({ write }) => write)), {
      duration: stampMillis,
      orElse: () => Effect.fail<Answer>({ _tag: "Unavailable", detail: "no stamps were drawn in time" })
    }).pipe(
      Effect.flatMap((writes) =>
        Effect.timeoutOrElse(
          Stream.runForEachArray(writeMany(writes), (answers) =>
            Effect.sync(() => {
              for (const [place, said] of answers) answer(place, said)
            })
          ),
          {
            duration: patienceMillis,
            orElse: () => Effect.fail<Answer>({ _tag: "Unknown", detail: "it was not answered in time" })
          }
        )
      ),
      Effect.match({
        onFailure: rest,
        onSuccess: () => rest({ _tag: "Unknown", detail: "the answers ended before the one to this write" })
      })
    )
  }

  yield* Effect.gen(function* () {
    while (true) {
      yield* more.await
      // One turn, in which others come that ask at the same time.
      yield* Effect.yieldNow
      yield* requests.take(1)
      const batch = waiting.splice(0, maxWrites)
      if (waiting.length === 0) more.closeUnsafe()
      yield* Effect.forkScoped(Effect.ensuring(send(batch), requests.release(1)))
    }
  }).pipe(Effect.forkScoped)

  return (write: Entry.Write): Effect.Effect<Answer> =>
    Effect.callback((resume) => {
      waiting.push({ write, answered: (answer) => resume(Effect.succeed(answer)) })
      more.openUnsafe()
    })
})
