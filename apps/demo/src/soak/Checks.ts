/**
 * What is looked at when a soak has ended, by the names of the promises.
 */
import { WriteId } from "@quorum/core"
import { Version } from "@quorum/core/adapter"
import type * as History from "./History.ts"
import { erasedOn, type Held, isCopy, type Logs, type Record as Written } from "./Logs.ts"
import type * as Recovering from "./Recovering.ts"
import * as Register from "./Register.ts"

/** What a replica shows: of every key that exists, the write, and the operation that wrote the value. */
export type Page = ReadonlyMap<string, { readonly writeId: string; readonly operation: number | undefined }>

/** What a clock of a replica says in its status, and the right time then, in milliseconds since the epoch. */
export interface StatusClock {
  readonly at: string
  readonly wallTime: number
  readonly now: number
}

/** All that is known. */
export interface Evidence {
  readonly operations: ReadonlyArray<History.Operation>
  /** What the disks hold. */
  readonly logs: Logs
  /** What each replica shows. */
  readonly pages: ReadonlyMap<string, Page>
  readonly clocks: ReadonlyArray<StatusClock>
  /** When which replica was seen not to vote. */
  readonly recovering: ReadonlyArray<Recovering.Window>
}

/** The promises by their names, and how each is looked at: what is said is that it was broken. */
export const checks: Readonly<Record<string, (evidence: Evidence) => ReadonlyArray<string>>> = {
  /**
   * Every acknowledged write is on every disk: same id, same key, same value, same version. One that was erased was there,
   * and every disk has a newer one of its key.
   */
  AckedIsDurable: ({ logs, operations, pages }) => {
    const newest = newestOf(logs)
    const byVersion = Map.groupBy(logs.writes.values(), ({ version }) => textOf(version))
    return acknowledged(operations).flatMap((operation) => {
      const held = logs.writes.get(operation.writeId)
      if (held !== undefined && !isOf(held, operation))
        return [`the place of ${nameOf(operation)} holds ${textOfRecords(held)}`]
      // One whose log forked, or that was sent to two replicas, is there under another id, with its version.
      const copies = byVersion.get(textOf(operation.version))?.filter((copy) => isOf(copy, operation)) ?? []
      const holders = new Set(copies.flatMap((copy) => copy.holders))
      const erased = erasedOn(logs, operation.writeId)
      if (holders.size === 0 && erased.length === 0) return [`${nameOf(operation)} is on no disk`]
      const newer = newest.get(operation.key)
      const isSuperseded = newer !== undefined && Version.compare(newer.version, operation.version) > 0
      // Each replica may have erased another copy of that.
      const copiesOfNewer = newer === undefined ? [] : byVersion.get(textOf(newer.version))!
      const holdNewer = new Set(copiesOfNewer.flatMap((copy) => copy.holders))
      const lacking = Array.from(pages.keys()).filter((id) => !holders.has(id))
      const wrongly = isSuperseded ? undefined : lacking.find((id) => erased.includes(id))
      if (wrongly !== undefined) return [`${nameOf(operation)} is erased on ${wrongly}, and is the newest`]
      const missing = lacking.filter((id) => !(erased.includes(id) && holdNewer.has(id)))
      return missing.length === 0 ? [] : [`${nameOf(operation)} is not on ${missing.join(", ")}`]
    })
  },

  /** A write that began after another of its key was acknowledged has the later version. */
  LaterWins: ({ operations }) =>
    Array.from(byKey(acknowledged(operations)).values()).flatMap((writes) =>
      Array.from(newestBefore(writes, writes)).flatMap(([write, newest]) =>
        Version.compare(write.version, newest.version) > 0
          ? []
          : [`${nameOf(write)} began after ${nameOf(newest)} was acknowledged, and is older`]
      )
    ),

  /** A stamped write that is sent to two replicas is one: all its receipts and copies have the version of its stamp. */
  OnceByKey: ({ logs, operations }) => {
    const another = (operation: History.Operation, id: WriteId.WriteId | undefined, version: Version.Version) =>
      operation.drawn === undefined || Version.compare(version, operation.drawn) === 0
        ? []
        : [
            `${nameOf(operation)} has the stamp ${textOf(operation.drawn)}, and ${id} has the version ${textOf(version)}`
          ]
    const receipts = acknowledged(operations).flatMap((operation) =>
      [operation, ...operation.again].flatMap(({ version, writeId }) => another(operation, writeId, version))
    )
    const copies = recordsOf(logs).flatMap(({ id, operation, version }) => {
      const writer = operation === undefined ? undefined : operations[operation]
      return writer === undefined ? [] : another(writer, id, version)
    })
    return [...receipts, ...copies]
  },

  /**
   * Every copy of a log has the entries of the others up to where it ends, and none is left out. That the copies end at one
   * place is another promise.
   */
  PrefixOrder: ({ logs }) => logs.breaks,

  /** Clocks jumped by up to ten years, and no replica stamps by one that is further off than a bound and what it follows. */
  BoundedClocks: ({ clocks }) =>
    clocks.flatMap(({ at, now, wallTime }) =>
      wallTime < now + farMillis ? [] : [`the clock of ${at} is ${Math.round((wallTime - now) / 1000)} s ahead`]
    ),

  /** A replica that may lack what it acknowledged answers no read, acknowledges nothing and is counted for nothing. */
  RecoveringDoesNotVote: ({ operations, recovering }) => {
    const asked = operations.filter(({ outcome }) => outcome === "read" || outcome === "acknowledged")
    return recovering.flatMap(({ at, from, to }) =>
      asked
        .filter(({ begun, ended }) => begun >= from && ended! < to)
        .flatMap((operation) =>
          operation.at === at
            ? [`${at} does not vote, and answered ${nameOf(operation)}`]
            : operation.counted.includes(at)
              ? [`${at} does not vote, and was counted for ${nameOf(operation)}`]
              : []
        )
    )
  },

  NotWrittenMeansNever: ({ logs, operations }) =>
    recordsOf(logs).flatMap(({ holders, id, operation }) =>
      operation !== undefined && operations[operation]?.outcome === "nothing"
        ? [`operation ${operation} was answered that nothing was written, and ${id} on ${holders} is it`]
        : []
    ),

  /** The newest write of a key is a delete: nobody shows it. */
  NoResurrection: ({ logs, pages }) => {
    const newest = newestOf(logs)
    return Array.from(pages).flatMap(([id, page]) =>
      Array.from(page).flatMap(([key, { writeId }]) =>
        newest.get(key)?.kind === "delete"
          ? [`${id} shows ${writeId} of ${key}, and ${newest.get(key)!.id} deletes it`]
          : []
      )
    )
  },

  /** What a replica shows is what the logs say. */
  OrderFree: ({ logs, pages }) => {
    const newest = Array.from(newestOf(logs).values()).filter(({ kind }) => kind === "put")
    return Array.from(pages).flatMap(([id, page]) =>
      newest.flatMap(({ key, operation }) => {
        const shown = page.get(key)
        return shown?.operation === operation
          ? []
          : [`${id} shows ${shown?.writeId ?? "nothing"} of ${key}, and the logs say operation ${operation}`]
      })
    )
  },

  /** No id, and no place, is given to two acknowledged writes; no write has two versions, and no version is two writes'. */
  OneEntryPerPlace: ({ logs, operations }) => {
    const places = new Map<string, History.Operation>()
    const versions = new Map<number, Versioned>()
    const writes = new Map<string, Held>()
    const wrong: Array<string> = []
    for (const operation of acknowledged(operations)) {
      for (const { writeId } of [operation, ...operation.again]) {
        const { log, seq } = WriteId.place(writeId)
        const before = places.get(`${log}:${seq}`)
        if (before !== undefined && before.entry !== operation.entry)
          wrong.push(`${nameOf(before)} and ${nameOf(operation)} have one place`)
        places.set(`${log}:${seq}`, operation)
      }
    }
    for (const held of logs.writes.values()) {
      const version = textOf(held.version)
      const other = writes.get(version)
      if (other !== undefined && !isCopy(other, held))
        wrong.push(`${other.id} and ${held.id} have one version, ${version}`)
      writes.set(version, held)
    }
    for (const record of recordsOf(logs)) {
      if (record.operation === undefined) continue
      const before = versions.get(record.operation)
      if (before !== undefined && Version.compare(before.version, record.version) !== 0) {
        wrong.push(`operation ${record.operation} is two writes: ${before.id} and ${record.id}`)
      }
      versions.set(record.operation, record)
    }
    return wrong
  },

  /** What was written as one entry is one on every disk, and a replica that shows one key of it shows it at all of them. */
  WholeOrNotAtAll: ({ logs, operations, pages }) => {
    const members = Map.groupBy(
      operations.filter(({ kind }) => kind === "put"),
      ({ entry }) => entry
    )
    const apart = Array.from(logs.writes.values()).flatMap((held) => {
      const first = held.records[0]!.operation
      const writer = first === undefined ? undefined : operations[first]
      const whole = writer === undefined ? undefined : members.get(writer.entry)
      return whole === undefined ||
        (whole.length === held.records.length && whole.every(({ id }, i) => held.records[i]!.operation === id))
        ? []
        : [`${held.id} on ${held.holders} holds ${textOfRecords(held)}, and was written with ${whole.map(nameOf)}`]
    })
    const shown = Array.from(pages).flatMap(([at, page]) =>
      Array.from(page.values()).flatMap(({ operation }) => {
        const writer = operation === undefined ? undefined : operations[operation]
        const others = (writer === undefined ? undefined : members.get(writer.entry)) ?? []
        return others.flatMap((other) =>
          page.get(other.key)?.operation === other.id
            ? []
            : [`${at} shows ${nameOf(writer!)}, and not ${nameOf(other)}`]
        )
      })
    )
    return [...apart, ...shown]
  },

  /** A read that has to see a write sees it, or a newer one; and nothing is read before it was written. */
  ReadYourWrites: (evidence) => {
    const early = evidence.operations.flatMap(({ at, ended, key, outcome, seen }) => {
      const writer = seen === undefined ? undefined : evidence.operations[seen]
      return outcome !== "read" || seen === undefined || (writer?.key === key && writer.begun < ended!)
        ? []
        : [`a read of ${key} at ${at} found operation ${seen}, which had not written it`]
    })
    const asked = evidence.operations.flatMap((read) => (read.after === undefined ? [] : [[read, read.after] as const]))
    return [...early, ...missed(evidence, asked)]
  },

  /** A read of a quorum finds nothing older than what was acknowledged before it began. */
  Overlap: (evidence) => {
    const writes = byKey(acknowledged(evidence.operations))
    const reads = byKey(evidence.operations.filter(({ consistency }) => consistency === "quorum"))
    const asked = Array.from(reads).flatMap(([key, of]) => Array.from(newestBefore(of, writes.get(key) ?? [])))
    return missed(evidence, asked)
  },

  /** Writes and linearizable reads of a key are those of an atomic register. */
  AtomicRegister: ({ logs, operations }) => {
    const known = new Set(acknowledged(operations).map(({ version }) => textOf(version)))
    const deletes = recordsOf(logs).filter(({ kind }) => kind === "delete")
    const strays = byKey(deletes.filter(({ version }) => !known.has(textOf(version))))
    // One that was erased is in no log any more.
    const mayBeStray = logs.erased.size > 0
    const hot = operations.filter(({ consistency, kind, outcome }) =>
      kind === "read" ? consistency === "linearizable" : outcome !== "nothing"
    )
    return Array.from(byKey(hot)).flatMap(([key, all]) => {
      if (!all.some(({ kind }) => kind === "read")) return []
      const outcome = Register.check(all.flatMap((operation) => registerOf(operation, mayBeStray || strays.has(key))))
      if (outcome._tag === "Atomic") return []
      const { begun, kind, value } = outcome.at
      const what = `${kind} of ${value === undefined ? "nothing" : `operation ${value}`} that began at ${begun}`
      return [
        outcome._tag === "NotAtomic"
          ? `${key}: no order explains the ${what}`
          : `${key}: cannot be decided at the ${what}`
      ]
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** A clock is held within a minute of the middle of all, and follows a foreign one for another. */
const farMillis = 120_000

/** A write with its receipt. */
type Acknowledged = History.Operation & { readonly writeId: WriteId.WriteId; readonly version: Version.Version }

const acknowledged = (operations: ReadonlyArray<History.Operation>): ReadonlyArray<Acknowledged> =>
  operations.filter((operation): operation is Acknowledged => operation.outcome === "acknowledged")

const nameOf = ({ at, id, key, kind, version, writeId }: History.Operation): string =>
  `the ${kind} ${id} of ${key} at ${at}` +
  (version === undefined ? "" : ` (${writeId}, ${version.clock.wallTime}.${version.clock.logical})`)

const isOf = (held: Held, operation: Acknowledged): boolean =>
  Version.compare(held.version, operation.version) === 0 &&
  held.records.some(
    ({ key, kind, operation: writer }) =>
      kind === operation.kind && key === operation.key && writer === (kind === "put" ? operation.id : undefined)
  )

/** A record, and what is known of its entry. */
type Versioned = Written & Omit<Held, "records">

const recordsOf = ({ writes }: Logs): ReadonlyArray<Versioned> =>
  Array.from(writes.values()).flatMap(({ holders, id, records, version }) =>
    records.map((record) => ({ holders, id, version, ...record }))
  )

const textOfRecords = ({ records }: Held): string =>
  records
    .map(({ key, kind, operation }) => (kind === "put" ? `${key} of ${operation}` : `a delete of ${key}`))
    .join(", ")

/** Of operations of one key in their order, the newest of these writes that was acknowledged before each began. */
const newestBefore = <A extends History.Operation>(
  asked: ReadonlyArray<A>,
  writes: ReadonlyArray<Acknowledged>
): ReadonlyMap<A, Acknowledged> => {
  const ended = writes.toSorted((a, b) => a.ended! - b.ended!)
  let next = 0
  let newest: Acknowledged | undefined
  return new Map(
    asked.flatMap((operation) => {
      for (; next < ended.length && ended[next]!.ended! < operation.begun; next++) {
        if (newest === undefined || Version.compare(ended[next]!.version, newest.version) > 0) newest = ended[next]!
      }
      return newest === undefined ? [] : [[operation, newest] as const]
    })
  )
}

/** The reads that found something older than the write that each had to see. */
const missed = (
  { logs, operations }: Evidence,
  asked: ReadonlyArray<readonly [read: History.Operation, wanted: History.Operation]>
): ReadonlyArray<string> => {
  const versions = new Map(
    recordsOf(logs).flatMap(({ operation, version }) =>
      operation === undefined ? [] : [[operation, version] as const]
    )
  )
  // Of a delete that was erased there is its receipt, if it had one.
  const deletes = byKey([
    ...recordsOf(logs).filter(({ kind }) => kind === "delete"),
    ...acknowledged(operations).filter(({ kind }) => kind === "delete")
  ])
  const doubtful = byKey(logs.erased.size === 0 ? [] : operations.filter(isDoubtfulDelete))
  return asked.flatMap(([read, write]) => {
    const least = write.version
    if (read.outcome !== "read" || least === undefined) return []
    const wanted = nameOf(write)
    const writer = read.seen === undefined ? undefined : operations[read.seen]
    if (writer === undefined) {
      const isDeleted = deletes.get(read.key)?.some(({ version }) => Version.compare(version, least) >= 0) === true
      const isMaybe = doubtful.get(read.key)?.some(({ begun }) => begun < read.ended!) === true
      return isDeleted || isMaybe ? [] : [`a read of ${read.key} at ${read.at} had to see ${wanted}, and saw nothing`]
    }
    const seen = writer.version ?? versions.get(writer.id)
    return seen === undefined || Version.compare(seen, least) >= 0
      ? []
      : [`a read of ${read.key} at ${read.at} had to see ${wanted}, and saw ${nameOf(writer)}`]
  })
}

/** Of which nobody knows whether it took place, and when. */
const isDoubtfulDelete = ({ kind, outcome }: History.Operation): boolean => kind === "delete" && outcome === "unknown"

const textOf = ({ clock, tie }: Version.Version): string => `${clock.wallTime}.${clock.logical}.${tie}`

const byKey = <A extends { readonly key: string }>(all: ReadonlyArray<A>): ReadonlyMap<string, ReadonlyArray<A>> => {
  const found = new Map<string, Array<A>>()
  for (const each of all) {
    const of = found.get(each.key)
    if (of === undefined) found.set(each.key, [each])
    else of.push(each)
  }
  return found
}

const newestOf = (logs: Logs): ReadonlyMap<string, Versioned> => {
  const found = new Map<string, Versioned>()
  for (const held of recordsOf(logs)) {
    const before = found.get(held.key)
    if (before === undefined || Version.compare(held.version, before.version) > 0) found.set(held.key, held)
  }
  return found
}

/** An operation as the register sees it. A delete that is in no log, and of which nobody knows, did not happen. */
const registerOf = (operation: History.Operation, hasStrays: boolean): ReadonlyArray<Register.Operation> => {
  const { begun, ended, id, kind, outcome, seen } = operation
  if (kind === "read") return outcome === "read" ? [{ kind: "read", value: seen, begun, ended }] : []
  if (kind === "delete" && outcome !== "acknowledged" && !hasStrays) return []
  return [{ kind: "write", value: kind === "put" ? id : undefined, begun, ended }]
}
