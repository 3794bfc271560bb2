/**
 * The stories of a run, in a few narrow lines each.
 */
import { Text } from "@quorum/server/tools"
import type { Apart, NotMet, WrongClock } from "./Report.ts"

/** From the stop until all replicas hold the same. */
export const apart = ({
  held,
  lag,
  records,
  sameAfterMs,
  stopped,
  stoppedAt,
  wentOnAfterMs,
  writer
}: typeof Apart.Type) => {
  const holders = Object.entries(held).map(([id, entries]) => `${id} ${Text.number(entries)}`)
  return [
    "  Two replicas that differ:",
    line(timeOf(stoppedAt), `${stopped} stands still; ${Text.number(records)} records are written at ${writer}`),
    line(
      after(wentOnAfterMs),
      `entries held: ${holders.join(", ")}; ${stopped} lacks ${Text.number(lag)}, says ${writer}`
    ),
    line("", `${stopped} goes on`),
    sameAfterMs === null
      ? line("", "it still lacks entries")
      : line(after(sameAfterMs), "all hold the same logs, chain for chain")
  ]
}

/** From the failure to the receipt. */
export const missedQuorum = (story: NotMet): ReadonlyArray<string> => {
  const { afterMs, askedAt, committedAfterMs, got, needed, reason, receipt, replica, resumedAfterMs, stopped } = story
  const verdicts = Object.entries(story.verdicts).map(([id, verdict]) => `${id} ${verdict}`)
  return [
    "  A write that missed its quorum:",
    line(timeOf(askedAt), `asked at ${replica} for ${needed} replicas; ${stopped} stands still`),
    line(after(afterMs), `quorum_not_met: ${got} of ${needed}, reason ${reason}`),
    line("", `verdicts: ${verdicts.join(", ")}`),
    line("", "it is durable and may spread, so it is never written again"),
    line(after(resumedAfterMs), `${stopped} goes on; resume of the same write,`),
    line("", story.writeId),
    ...(committedAfterMs === null || receipt === null
      ? [line("", "it got no receipt")]
      : [
          line(after(committedAfterMs), `receipt, ${receipt.acked.length} of ${receipt.policy.n}:`),
          ...receipt.acked.map((ack) => line("", `${ack.replica} after ${Math.round(ack.afterMillis)} ms (${ack.how})`))
        ])
  ]
}

/** Two writes, one after the other, and what a store would make of them that compares the time of day. */
export const wrongClock = ({
  first,
  heldMs,
  replica,
  second,
  shiftMs,
  shown
}: typeof WrongClock.Type): ReadonlyArray<string> => {
  const kept = new Set(Object.values(shown))
  const values =
    kept.size === 1
      ? Array.from(kept, (value) => `"${value}"`)
      : Object.entries(shown).map(([id, value]) => `${id} "${value}"`)
  const write = (name: string, { clock, localTime, replica }: typeof first) =>
    `    ${name.padEnd(8)}${replica.padEnd(5)}${timeOf(localTime).padEnd(10)}${timeOf(new Date(clock.wallTime).toISOString(), 12)}+${clock.logical}`
  const plain = first.localTime > second.localTime ? "first" : "second"
  return [
    `  A clock that is wrong: ${replica}'s is ${away(shiftMs)}` +
      (heldMs === null || heldMs === 0 ? "," : " and not followed,"),
    "  and one key is written twice, one after the other:",
    "    value   at   its clock version",
    write("first", first),
    write("second", second),
    `    by the clocks alone "${plain}" would stay; ${kept.size === 1 ? "all replicas hold" : "the replicas hold"}`,
    `    ${values.join(", ")}${kept.size === 1 && kept.has("second") ? ", which was acknowledged last" : ""}`
  ]
}

// ---------------------------------------------------------------------------------------------------------------------

/** A line of a story: when it was, and what. */
const line = (when: string, what: string): string => `    ${when.padEnd(10)}${what}`

/** The time of day of a date as text. */
const timeOf = (iso: string, length = 8): string => iso.slice(11, 11 + length)

const after = (millis: number): string => `+${(millis / 1000).toFixed(1)} s`

const away = (millis: number): string => `${Math.abs(millis) / 3_600_000} h ${millis < 0 ? "behind" : "ahead"}`
