/**
 * Writes that are asked for at the same time share a request: one for each costs a replica more than the write itself.
 */
import { Effect, Latch, type Scope, Semaphore, Stream } from "effect"
import type { Entry } from "@quorum/core"
import type { Answer, Client } from "./Client.ts"
import type { Member } from "./Cluster.ts"

/** A client whose writes share requests, unless they ask for a number of replicas of their own. Until the scope closes. */
export const make = Effect.fnUntraced(function* (
  client: Client,
  members: ReadonlyArray<Member>
): Effect.fn.Return<Client, never, Scope.Scope> {
  const writers = new Map<Member, Effect.Success<ReturnType<typeof makeWriter>>>()
  for (const member of members) writers.set(member, yield* makeWriter((writes) => client.writeMany(member, writes)))
  return {
    ...client,
    write: (member, write, w) => (w === undefined ? writers.get(member)!(write) : client.write(member, write, w))
  }
})

// ---------------------------------------------------------------------------------------------------------------------

/** How many requests to one replica are under way at once, and how many writes one may have. */
const maxRequests = 4
const maxWrites = 1000

/** How long a request may take, in milliseconds: a replica answers every write within its deadline. */
const patienceMillis = 15_000

interface Waiting {
  readonly write: Entry.Write
  readonly answered: (answer: Answer) => void
}

/** Sends what waits as soon as a request may be made, and all of it that there is room for. */
const makeWriter = Effect.fnUntraced(function* (
  writeMany: (writes: ReadonlyArray<Entry.Write>) => Stream.Stream<readonly [place: number, answer: Answer], Answer>
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
    return Stream.runForEach(writeMany(batch.map(({ write }) => write)), ([place, said]) =>
      Effect.sync(() => answer(place, said))
    ).pipe(
      Effect.timeout(patienceMillis),
      Effect.match({
        onFailure: (said) => rest(said._tag === "TimeoutError" ? { _tag: "Unknown", detail: said.message } : said),
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
