/**
 * Power failures without a plug: what a power loss would leave of the file of a store, made from what its process asked of
 * the system, as `strace` shows it.
 *
 * On the disk is what was written before a sync began that has ended, and what was written through a descriptor that
 * syncs each write (`O_DSYNC`), once that is done. Of what was written else, a disk may have any part.
 */
import type { Faults } from "@quorum/testing"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"

/** Numbers from 0 to below 1, the same for a seed. */
type Random = ReturnType<typeof Faults.generator>

interface Write {
  readonly at: number
  readonly bytes: Buffer
}

/** What a process did, in order. */
export type Event =
  | ({ readonly _tag: "Write"; readonly call: string } & Write)
  /** A write that is durable when it ends. */
  | { readonly _tag: "Written"; readonly call: string }
  | { readonly _tag: "SyncBegan"; readonly call: string }
  | { readonly _tag: "Synced"; readonly call: string }
  /** It printed this. */
  | { readonly _tag: "Said"; readonly text: string }

/** Whether there is what shows the calls of a process. */
export const canTrace = spawnSync("strace", ["-f", "-e", "trace=fdatasync", "true"]).status === 0

/** The calls that write to a file or make it durable; a test fails where others come into use. */
const calls = "openat,lseek,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,msync,ftruncate,fallocate,io_submit"

/** Runs a program, which ends by itself, and says what it did with this file. */
export const trace = (file: string, command: ReadonlyArray<string>, to: string): ReadonlyArray<Event> => {
  const flags = ["-f", "-y", "-xx", "-s", `${1 << 26}`, "-e", `trace=${calls}`, "-e", "signal=none", "-o", to]
  const { status, stderr } = spawnSync("strace", [...flags, ...command], { timeout: 120_000 })
  if (status !== 0) throw new Error(`the traced program failed: ${stderr}`)
  return eventsOf(file, fs.readFileSync(to, "latin1"))
}

/** What a trace says. */
const eventsOf = (file: string, trace: string): ReadonlyArray<Event> => {
  const events: Array<Event> = []
  /** Descriptors that sync each write, and where in the file the next write of a descriptor goes. */
  const syncing = new Set<string>()
  const positions = new Map<string, number>()
  /** Calls that have begun and not ended, by thread. */
  const begun = new Map<string, { readonly id: string; readonly text: string }>()
  for (const [number, line] of trace.split("\n").entries()) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? []
    const [, end] = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest) ?? []
    const [, beginning] = /^(.*) <unfinished \.\.\.>$/.exec(rest) ?? []
    if (beginning !== undefined) begun.set(thread, { id: `${number}`, text: beginning })
    const before = end === undefined ? undefined : begun.get(thread)!
    const { id, text } =
      before === undefined ? { id: `${number}`, text: beginning ?? rest } : { ...before, text: before.text + end }
    const begins = before === undefined
    const ends = beginning === undefined
    const call = /^(\w+)\((\d+|AT_FDCWD)<([^>]*)>(.*)$/.exec(text)
    if (call === null) continue
    const [name, descriptor, path, args] = call.slice(1) as [string, string, string, string]
    if (name === "openat") {
      const [, opened, flags, fd] = /^, (".*?"), (\S+?)(?:, \d+)?\) += (\d+)/.exec(args) ?? []
      if (ends && opened !== undefined && bytesOf(opened).toString() === file) {
        if (flags!.includes("O_DSYNC")) syncing.add(fd!)
        else syncing.delete(fd!)
      }
    } else if (name === "write" && descriptor === "1") {
      if (ends) events.push({ _tag: "Said", text: bytesOf(args).toString() })
    } else if (bytesOf(`"${path}"`).toString() === file) {
      if (name === "lseek") {
        if (ends) positions.set(descriptor, Number(/= (\d+)$/.exec(args)![1]))
      } else if (name === "fsync" || name === "fdatasync") {
        if (begins) events.push({ _tag: "SyncBegan", call: id })
        if (ends) events.push({ _tag: "Synced", call: id })
      } else if (writes.has(name)) {
        const bytes = bytesOf(args)
        const place = name.startsWith("p") ? Number(/, (\d+)\)?(?: += \d+)?$/.exec(args)![1]) : undefined
        const at = place ?? positions.get(descriptor) ?? 0
        if (begins) events.push({ _tag: "Write", call: id, at, bytes })
        if (ends && place === undefined) positions.set(descriptor, at + bytes.length)
        if (ends && syncing.has(descriptor)) events.push({ _tag: "Written", call: id })
      } else throw new Error(`what ${name} leaves on a disk is not known here`)
    }
  }
  return events
}

const writes = new Set(["write", "writev", "pwrite64", "pwritev"])

/** The bytes of all strings in the arguments of a call, each of which is `\xHH`. */
const bytesOf = (args: string): Buffer =>
  Buffer.from(
    Array.from(args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g), ([, text]) => text!.replaceAll("\\x", "")).join(""),
    "hex"
  )

/** A disk that takes in what a process does. */
export const makeDisk = () => {
  let durable: Buffer = Buffer.alloc(0)
  let pending: ReadonlyArray<Write & { readonly call: string }> = []
  /** How many of what is pending was written when a sync began. */
  const syncs = new Map<string, ReadonlySet<string>>()
  const settle = (is: (write: { readonly call: string }) => boolean): void => {
    for (const write of pending) if (is(write)) durable = written(durable, write)
    pending = pending.filter((write) => !is(write))
  }
  return {
    take: (event: Event): void => {
      switch (event._tag) {
        case "Write":
          pending = [...pending, event]
          break
        case "Written":
          settle(({ call }) => call === event.call)
          break
        case "SyncBegan":
          syncs.set(event.call, new Set(pending.map(({ call }) => call)))
          break
        case "Synced":
          settle(({ call }) => syncs.get(event.call)!.has(call))
          break
        case "Said":
          break
      }
    },
    /** What a power loss leaves now: of each sector that is not durable this version or a later one. */
    image: (random: Random): Buffer => {
      const share = [0, 1, random(), random()][Math.floor(random() * 4)]!
      const isTorn = random() < 0.5
      let image: Buffer = Buffer.from(durable)
      for (const write of pending) {
        if (!isTorn) {
          if (random() < share) image = written(image, write)
          continue
        }
        for (const sector of sectorsOf(write)) if (random() < share) image = written(image, sector)
      }
      return image
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const sectorBytes = 512

const written = (file: Buffer, { at, bytes }: Write): Buffer => {
  const end = at + bytes.length
  const image: Buffer = end <= file.length ? file : Buffer.concat([file, Buffer.alloc(end - file.length)])
  bytes.copy(image, at)
  return image
}

/** A write in the sectors of a disk, each of which is written whole or not at all. */
const sectorsOf = function* ({ at, bytes }: Write): Generator<Write> {
  for (let from = at; from < at + bytes.length;) {
    const to = Math.min(at + bytes.length, (Math.floor(from / sectorBytes) + 1) * sectorBytes)
    yield { at: from, bytes: bytes.subarray(from - at, to - at) }
    from = to
  }
}
