/**
 * What is wrong with the folder of a replica that does not run, and what to do about it. Pure.
 */
import { PeerSecret, type ReplicaStore, type StoreInspection } from "@quorum/core/adapter"
import { type Finding, slowSyncSeconds } from "./Doctor.ts"
import * as OpenPort from "./tools/OpenPort.ts"
import type { Problem } from "./config/reading.ts"

/** A folder, as it was seen. */
export interface FolderView {
  readonly folder: string
  /** What is in it, or why that cannot be said. */
  readonly found: StoreInspection.StoreInspection | ReplicaStore.StoreError
  readonly disk: { readonly freeBytes: number; readonly sizeBytes: number }
  /** The permissions of the folder. */
  readonly mode: number
  /** How long a sync took; not measured unless asked for. */
  readonly syncMillis?: number
  /** The settings of the replica where they are given: whose folder it should be, and what is wrong with them. */
  readonly settings?: {
    readonly id?: string
    readonly cluster?: string
    /** Where it listens, and the file of the tokens that its clients need. */
    readonly host?: string
    readonly tokensFile?: string | undefined
    readonly problems: ReadonlyArray<Problem>
  }
}

/** What is wrong with it. None when all is well. */
export const examine = (view: FolderView): ReadonlyArray<Finding> => {
  const { disk, folder, found, mode, settings, syncMillis } = view
  const findings: Array<Finding> = []
  const replica = "identity" in found ? found.identity.replica : folder
  const say: Say = (level, what, remedy) => void findings.push({ level, replica, what, remedy })
  if ("identity" in found) {
    ofIdentity(found, settings, say)
    ofDoubt(found, say)
    for (const log of found.logs) ofLog(log, say)
    ofIndex(found.index, say)
  } else {
    say("problem", found.detail, remedies[found.reason] ?? "do what is said, and look again")
  }
  if (disk.freeBytes < disk.sizeBytes / 10) {
    const percent = Math.round((disk.freeBytes / disk.sizeBytes) * 100)
    say("problem", `${percent} % of its disk are free`, "make room: a full disk fails writes")
  }
  if (syncMillis !== undefined && syncMillis > slowSyncSeconds * 1000) {
    say(
      "warning",
      `a sync takes ${Math.round(syncMillis)} ms`,
      "let nothing else write to its disk, or take a faster one"
    )
  }
  // A folder that is none of a replica's may be open on purpose, as that of all temporary files is.
  if ("identity" in found && (mode & 0o077) !== 0) {
    say("warning", "other users of this machine can look into its folder", `chmod 700 ${folder}`)
  }
  if (settings?.host !== undefined && settings.tokensFile === undefined && !PeerSecret.isLoopback(settings.host)) {
    say("warning", `it listens on ${settings.host} and wants no token: ${OpenPort.what}`, OpenPort.remedy)
  }
  for (const { detail, source } of settings?.problems ?? []) say("problem", `${source}: ${detail}`, "mend the setting")
  return findings
}

// ---------------------------------------------------------------------------------------------------------------------

type Say = (level: Finding["level"], what: string, remedy: string) => void

type Inspection = StoreInspection.StoreInspection

const remedies: { readonly [Reason in ReplicaStore.StoreError["reason"]]?: string } = {
  corrupt: "start it with an empty folder: it is filled by the others; keep this one until it is",
  locked: "ask the replica while it runs with --url, or stop it first"
}

const ofIdentity = ({ identity }: Inspection, settings: FolderView["settings"], say: Say): void => {
  for (const [field, asked] of [
    ["replica", settings?.id],
    ["cluster", settings?.cluster]
  ] as const) {
    if (asked === undefined || asked === identity[field]) continue
    const what = field === "replica" ? "replica" : "replica set"
    say(
      "problem",
      `it belongs to ${what} ${identity[field]}, and the settings say ${asked}`,
      "give every replica its own"
    )
  }
}

const ofDoubt = (found: Inspection, say: Say): void => {
  const { isClosed, isRestoredInPart, isSameBoot, isSamePlace, isUnsynced, recovering } = found
  if (isRestoredInPart) {
    const todo = "restore the file again into it, or start it with an empty folder"
    say("problem", "a backup is in it in part: its restore was interrupted, and no replica starts on it", todo)
  }
  if (!isSamePlace) {
    say(
      "problem",
      "its files are not where they were when it last ran: they were copied, restored or cloned",
      "start it only if the other copy never runs again: it opens a new log, and recovers from the others"
    )
  } else if (!isSameBoot) {
    say("warning", "the machine was started again since it ran", "nothing: its next start opens a new log")
  } else if (!isClosed) {
    say("warning", "it was not stopped in order", "nothing: its next start takes in what is left")
  }
  if (isUnsynced) {
    say("problem", "its disk failed to sync what it had written", "look at the disk; its next start opens a new log")
  }
  if (recovering === "lost") {
    say(
      "warning",
      "something that it acknowledged may be missing, so it counts for no quorum",
      "start it while a majority of the others run"
    )
  } else if (recovering === "blank") {
    say(
      "warning",
      "it has not heard of its replica set yet",
      "start it while a majority of the others run; for a first start, or when the same backup was restored at all of them, start all"
    )
  }
}

const ofLog = ({ damaged, isEndDamaged, seq }: StoreInspection.InspectedLog, say: Say): void => {
  for (const { from, log, to } of damaged) {
    const isEnd = isEndDamaged && to === seq
    say(
      "problem",
      `entries ${from} to ${to} of ${log} are damaged${isEnd ? ", and the log ends with them" : ""}`,
      "look at the disk; start it while the others run: it fetches them from any that has them, and says which nobody has"
    )
  }
}

const ofIndex = (index: StoreInspection.InspectedIndex, say: Say): void => {
  if (index.state === "usable") return
  if (index.state === "wrong") {
    const what = `its record index does not agree with its logs: ${index.why}`
    say("problem", what, "delete its files, index.*, before the next start, which builds it again from the logs")
    return
  }
  const what =
    index.state === "missing" ? "its record index is missing" : `its record index cannot be used: ${index.why}`
  say("warning", what, "nothing: its next start builds it again from the logs")
}
