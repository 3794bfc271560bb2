/**
 * What is wrong with replicas that run, by what they say of themselves, and what to do about it. Pure.
 */
import type { ReplicaStatus } from "@quorum/core"
import { Alerts } from "@quorum/metrics"
import * as OpenPort from "./tools/OpenPort.ts"
import * as Text from "./tools/Text.ts"

/** A replica, as it was seen. */
export interface View {
  readonly url: string
  /** What it answered; none when it did not. */
  readonly status: typeof ReplicaStatus.Status.Encoded | undefined
  /** Why it did not. */
  readonly error?: string
  /** The series of its metrics, by name and labels as Prometheus has them; none when it does not show them. */
  readonly metrics: Readonly<Record<string, number>> | undefined
  /** Whether it answered its status to somebody without a token. */
  readonly open: boolean
  /** Where else it answers, when it is open and was asked over loopback: an address that other machines may reach. */
  readonly elsewhere?: string
}

/** Something to know. A `problem` endangers what is promised, or will; a `warning` is worth a look. */
export interface Finding {
  readonly level: "problem" | "warning"
  /** The replica, by its id, or by its url where it did not say that. */
  readonly replica: string
  readonly what: string
  /** What to do. */
  readonly remedy: string
}

/** What is wrong with the replicas. None when all is well. */
export const examine = (views: ReadonlyArray<View>): ReadonlyArray<Finding> => {
  const statuses = views.flatMap(({ status }) => (status === undefined ? [] : [status]))
  const answering = new Set<string>(statuses.map(({ identity }) => identity.replica))
  return [...views.flatMap((view) => ofOne(view, answering)), ...ofAll(statuses)]
}

// ---------------------------------------------------------------------------------------------------------------------

type Status = NonNullable<View["status"]>

/** From which difference of clocks on it is worth a look, in milliseconds. */
const skewMillis = 5000

/** How long a sync may take on average, in seconds. */
export const slowSyncSeconds = 0.05

const ofOne = (view: View, answering: ReadonlySet<string>): ReadonlyArray<Finding> => {
  const { elsewhere, error = "no answer", metrics, open, status, url } = view
  const findings: Array<Finding> = []
  const replica = status?.identity.replica ?? url
  const say = (level: Finding["level"], what: string, remedy: string): void =>
    void findings.push({ level, replica, what, remedy })
  if (status === undefined) {
    say("problem", `it does not answer: ${error}`, "start it, or mend the way to it; a token is given by QUORUM_TOKEN")
    return findings
  }
  if (status.storeFault !== null) {
    const { detail, reason } = status.storeFault
    say(
      "problem",
      `its store fails (${reason}): ${detail}`,
      reason === "disk_full"
        ? "make room: it goes on by itself with the next write"
        : "do what the detail says, and restart it"
    )
  }
  if (status.diskStalledMillis > 0) {
    say(
      "problem",
      `its disk has not answered for ${seconds(status.diskStalledMillis)}`,
      `write at other replicas, and look at its disk: see ${Alerts.runbookOf("QuorumDiskStalled")}`
    )
  }
  // What is lost stays damaged, and no peer holds it.
  const isLost = ({ from, log, to }: Status["damaged"][number]) =>
    status.lost.some((range) => range.log === log && range.from <= from && range.to >= to)
  const damaged = status.damaged.filter((range) => !isLost(range))
  if (damaged.length > 0) {
    say(
      "problem",
      `${damaged.length} ranges of entries cannot be read`,
      `the peers hold them: see ${Alerts.runbookOf("QuorumDamage")}`
    )
  }
  if (status.lost.length > 0) {
    say(
      "problem",
      `${status.lost.length} ranges of entries are lost: no member has them`,
      `see ${Alerts.runbookOf("QuorumLost")}`
    )
  }
  if (status.room.refusing) {
    say(
      "problem",
      `its store has ${Text.bytes(status.room.left ?? 0)} left, of which ${Text.bytes(status.room.reserve ?? 0)} are kept: it refuses puts`,
      `make room on its disk: see ${Alerts.runbookOf("QuorumPutsRefused")}`
    )
  }
  const isDouble = status.obstacle?.startsWith("another live process has the id") === true
  if (!status.voting)
    say(
      "problem",
      `it counts for no quorum: ${status.obstacle ?? "it is recovering"}`,
      isDouble
        ? stopOne
        : status.obstacle?.startsWith("members were restored from different backups") === true
          ? `choose one backup: see ${Alerts.runbookOf("QuorumNotVoting")}`
          : status.peers.every(({ link }) => link === "up")
            ? lookFurther
            : `start the members that are down; where too many will never come, see ${Alerts.runbookOf("QuorumNotVoting")}`
    )
  else if (isDouble) say("problem", `it may not write: ${status.obstacle}`, stopOne)
  else if (!status.recovered)
    say("problem", `it may not write yet: ${status.obstacle ?? "it has not heard of its own log"}`, "start its peers")
  const members = membersOf(status)
  const others = new Set(status.vector.map(({ log }) => log.slice(0, log.lastIndexOf("@"))))
  const strangers = Array.from(others).filter((id) => !members.includes(id))
  if (strangers.length > 0) {
    say(
      "problem",
      `it holds what ${strangers.join(", ")} wrote, and its members are ${members.join(", ")}`,
      "give it the peers that it had, and restart it: who is in a set does not change"
    )
  }
  if (status.insecure)
    say(
      "warning",
      "peers prove nothing to it (insecure): whoever reaches its port can be one",
      "give all replicas the same secret, or certificates"
    )
  if (status.voting && !status.readable)
    say("warning", "its index is built again, and reads wait for it", "wait; its log says how far it is")
  if (status.clockHeldMillis !== 0) {
    say(
      "problem",
      `its clock is ${seconds(status.clockHeldMillis)} too far from the others, and is not followed`,
      "mend its time service"
    )
  }
  if (status.farKeys > 0)
    say(
      "warning",
      `${status.farKeys} keys have versions of a clock that was far ahead`,
      "write them again once the clocks are right"
    )
  if (status.waitingWrites >= status.caps.waitingWrites / 2) {
    say(
      "warning",
      `${status.waitingWrites} writes wait, of ${status.caps.waitingWrites} that may`,
      "write less at once, or at other replicas"
    )
  }
  for (const peer of status.peers) ofPeer(peer, isDouble ? stopOne : remedyOf(peer.replica, answering), say)
  ofMetrics(metrics, say)
  if (open && !OpenPort.isLoopback(url)) say("problem", OpenPort.what, OpenPort.remedy)
  else if (open && elsewhere !== undefined) {
    const what = `it answers at ${elsewhere} too, and ${OpenPort.what}`
    say("warning", what, `${OpenPort.remedy}, or have it listen on loopback`)
  }
  return findings
}

const membersOf = ({ identity, peers }: Status): ReadonlyArray<string> => [
  identity.replica,
  ...peers.map(({ replica }) => replica)
]

type Say = (level: Finding["level"], what: string, remedy: string) => void

/** Two processes run as the same replica. */
const stopOne = "stop one of the two processes that run as this replica"

/** All members run. Either they recover, or more of them have lost their stores than may at once. */
const lookFurther = `wait, all members run; if it lasts, see ${Alerts.runbookOf("QuorumNotVoting")}`

/** What to do about a peer that cannot be reached. One that answers here needs no start. */
const remedyOf = (replica: string, answering: ReadonlySet<string>): string =>
  answering.has(replica)
    ? `see what is said of ${replica}, which runs, or mend the network between them`
    : `start ${replica}, or mend the network between them`

const ofPeer = (
  { clockSkewMillis, detail, drifted, lag, link, replica }: Status["peers"][number],
  remedy: string,
  say: Say
): void => {
  if (link === "down") say("problem", `it cannot reach ${replica}: ${detail ?? "no answer"}`, remedy)
  if (drifted.length > 0) {
    say(
      "problem",
      `${replica} holds other entries than it does, of ${drifted.join(", ")}`,
      `see ${Alerts.runbookOf("QuorumDrift")}`
    )
  }
  if (link === "up" && lag > manyEntries)
    say("warning", `${replica} is ${lag} entries behind`, "watch it fall; compare the disks")
  if (Math.abs(clockSkewMillis ?? 0) > skewMillis) {
    say(
      "warning",
      `the clock of ${replica} differs by ${seconds(clockSkewMillis!)}`,
      "mend the time service of the one that is wrong"
    )
  }
}

const manyEntries = 10_000

/** The series that are looked at. */
export const series = {
  free: "quorum_disk_free_bytes",
  size: "quorum_disk_size_bytes",
  syncSum: 'quorum_append_sync_duration_seconds_sum{quorum_log="own"}',
  syncCount: 'quorum_append_sync_duration_seconds_count{quorum_log="own"}'
}

const ofMetrics = (metrics: View["metrics"], say: Say): void => {
  if (metrics === undefined) return
  const [free, size] = [metrics[series.free], metrics[series.size]]
  if (free !== undefined && size !== undefined && free < size / 10) {
    say("problem", `${Math.round((free / size) * 100)} % of its disk are free`, "make room: a full disk fails writes")
  }
  const [sum = 0, count = 0] = [metrics[series.syncSum], metrics[series.syncCount]]
  if (count > 0 && sum / count > slowSyncSeconds) {
    say(
      "warning",
      `a sync takes ${Math.round((sum / count) * 1000)} ms on average`,
      "let nothing else write to its disk, or take a faster one"
    )
  }
}

/** What has to be the same everywhere. */
const ofAll = (statuses: ReadonlyArray<Status>): ReadonlyArray<Finding> => {
  const [first, ...others] = statuses
  if (first === undefined) return []
  const differs = (what: string, of: (status: Status) => string, remedy: string): ReadonlyArray<Finding> =>
    others
      .filter((status) => of(status) !== of(first))
      .map((status) => ({
        level: "problem" as const,
        replica: status.identity.replica,
        what: `its ${what} ${of(status)}, and ${first.identity.replica}'s ${of(first)}`,
        remedy
      }))
  return [
    ...differs("replica set is", ({ identity }) => identity.cluster, "one of the urls leads elsewhere"),
    ...differs(
      "members are",
      (status) => membersOf(status).toSorted().join(", "),
      "give all the same peers, and restart those that differ: who is in a set does not change"
    ),
    ...differs(
      "limits are",
      ({ limits }) => JSON.stringify(limits),
      "give all the same limits, and restart those that differ"
    ),
    ...differs(
      "policy is",
      ({ policy }) => `${policy.w} of ${policy.n}, ${policy.order}, ${policy.unavailable}`,
      "give all the same w, order and unavailable"
    ),
    ...twins(statuses)
  ]
}

/** Two urls that lead to one replica hide that another is not looked at. */
const twins = (statuses: ReadonlyArray<Status>): ReadonlyArray<Finding> =>
  statuses
    .map(({ identity }) => identity.replica)
    .filter((id, i, all) => all.indexOf(id) !== i)
    .map((replica) => ({
      level: "warning",
      replica,
      what: "two of the urls lead to it",
      remedy: "give each replica's own"
    }))

const seconds = (millis: number): string => `${(Math.abs(millis) / 1000).toFixed(1)} s`
