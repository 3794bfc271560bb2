/**
 * What `quorum status` says of what the replicas keep: how much of it is live, when it was read again, and what is damaged.
 */
import type { ReplicaStatus } from "@quorum/client"
import * as Table from "../tools/Table.ts"
import * as Text from "../tools/Text.ts"

/** The lines of those that answer, at a time in milliseconds since the epoch. */
export const lines = (replicas: ReadonlyArray<ReplicaStatus>, now: number): ReadonlyArray<string> => {
  const kept = replicas.flatMap(({ status }) => (status === undefined ? [] : [status as unknown as Kept]))
  if (kept.length === 0) return []
  const rows = kept.map(({ compaction: { last, space }, identity: { replica }, scrub }) => [
    replica,
    last === null ? "?" : Text.bytes(last.liveBytes),
    last === null ? "?" : Text.bytes(last.waitingBytes),
    space === null ? "?" : Text.bytes(space.taken),
    scrub.last === null ? "not yet" : `${Text.span(now - scrub.last.endedAt)} ago`
  ])
  return ["", ...Table.lines(head, rows), ...kept.flatMap(found)]
}

// ---------------------------------------------------------------------------------------------------------------------

/** What of a status is shown here. */
interface Kept {
  readonly identity: { readonly replica: string }
  readonly compaction: {
    readonly last: { readonly liveBytes: number; readonly waitingBytes: number } | null
    readonly space: { readonly taken: number } | null
  }
  readonly scrub: { readonly last: { readonly endedAt: number } | null }
  readonly damaged: ReadonlyArray<Range>
  readonly lost: ReadonlyArray<Range>
}

interface Range {
  readonly log: string
  readonly from: number
  readonly to: number
}

/** Live and waiting are as of the last round of compaction. */
const head = ["replica", " live", " waits to go", " logs on disk", "all read again"]

const found = ({ damaged, identity, lost }: Kept): ReadonlyArray<string> => {
  const isLost = ({ from, log, to }: Range): boolean =>
    lost.some((range) => range.log === log && range.from <= from && to <= range.to)
  const said = (what: string, ranges: ReadonlyArray<Range>): ReadonlyArray<string> =>
    ranges.map(({ from, log, to }) => `${identity.replica}: entries ${from} to ${to} of ${log} ${what}`)
  return [
    ...said(
      "are damaged here, and are fetched from another member",
      damaged.filter((range) => !isLost(range))
    ),
    ...said("are damaged here, and no member has them", lost)
  ]
}
