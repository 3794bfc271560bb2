/**
 * Clocks that jump while a soak goes on, one after the other, besides the other faults.
 */
import { Effect, Option } from "effect"
import { HttpClient } from "effect/http"
import type { DemoSet, Member } from "../DemoSet.ts"
import type * as FakeTime from "./FakeTime.ts"
import * as Random from "./Random.ts"

/** A clock that was wrong for a while. */
export interface Jump {
  readonly member: string
  readonly seconds: number
  /** Whether an answer of the replica was seen that says so. One that is dead or stopped gives none. */
  readonly isShown: boolean
}

/**
 * Lets one clock after the other jump, and be right again, until it is interrupted. Beyond the bound, which is a minute, only
 * one of them ever is: what was measured of a clock is remembered, so two that are wrong one after the other may be most.
 */
export const jump = Effect.fnUntraced(function* (options: {
  readonly set: DemoSet
  readonly fakeTime: FakeTime.FakeTime
  /** Whose clock may be far off. */
  readonly far: Member["id"]
  readonly random: Random.Random
  readonly onJump: (jump: Jump) => void
}) {
  const { set, fakeTime, far, onJump, random } = options
  return yield* Effect.gen(function* () {
    yield* Effect.sleep(500 + random(2500))
    const member = Random.pick(random, set.members)
    const seconds = Random.pick(random, member.id === far ? [...small, ...large] : small)
    fakeTime.set(member.id, seconds)
    const isSeen = yield* wrongBy(member).pipe(
      Effect.map((seen) => Option.isSome(seen) && Math.abs(seen.value - seconds) < 4),
      Effect.tap(Effect.sleep(100)),
      Effect.repeat({ until: (is) => is }),
      Effect.timeoutOption(seenMillis)
    )
    yield* Effect.sleep(random(4000))
    fakeTime.set(member.id, 0)
    onJump({ member: member.id, seconds, isShown: Option.isSome(isSeen) })
  }).pipe(Effect.forever, Effect.ensuring(Effect.sync(() => set.members.forEach(({ id }) => fakeTime.set(id, 0)))))
})

// ---------------------------------------------------------------------------------------------------------------------

/** Below the bound and beyond it, ahead and behind, in seconds; the last is ten years. */
const small = [5, -5, 25, -25, 50, -50]
const large = [3600, -3600, 315_360_000]

/** The library looks at its file once a second, and the server at its clock as often. */
const seenMillis = 4000

/** What a replica's own clock says in the `date` of an answer, from what this one says. */
const wrongBy = (member: Member) =>
  HttpClient.get(`${member.url}/healthz`).pipe(
    Effect.timeout(1000),
    Effect.map(({ headers }) => (Date.parse(headers["date"] ?? "") - Date.now()) / 1000),
    Effect.filterOrFail((seconds) => Number.isFinite(seconds)),
    Effect.option
  )
