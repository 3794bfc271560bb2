/**
 * The bytes of a frame, written and read from the front. Numbers are big-endian.
 */
import { Schema } from "effect"
import * as LogId from "../../identity/LogId.ts"
import * as ReplicaId from "../../identity/ReplicaId.ts"
import type { HybridLogicalClock } from "../../log/HybridLogicalClock.ts"
import * as Chain from "../../log/Chain.ts"

/** Bytes before what a kind says: the kind, and the number of the request. */
const headBytes = 5

/** The greatest sequence of a batch or an ack. One that wrapped would be another place. */
const maxSequence = 2 ** 48 - 1

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Writes a frame. */
export type Writer = ReturnType<typeof begin>

/** Begins a frame of a kind, with room for so many bytes after its head. Throws at what does not fit. */
export const begin = (kind: number, number: number, room: number) => {
  const bytes = new Uint8Array(headBytes + room)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, kind)
  view.setUint32(1, number)
  let at = headBytes
  const uint32 = (value: number): void => {
    view.setUint32(at, value)
    at += 4
  }
  return {
    bytes,
    uint32,
    text: (value: string): void => {
      if (value.length > 0xff) throw new Error(`a text of ${value.length} characters does not fit in a frame`)
      bytes[at++] = value.length
      for (let i = 0; i < value.length; i++) {
        const code = value.charCodeAt(i)
        if (code > 0x7f) throw new Error(`${JSON.stringify(value)} is not ASCII`)
        bytes[at++] = code
      }
    },
    sequence: (value: number): void => {
      if (value > maxSequence) throw new Error(`the sequence ${value} does not fit in a frame`)
      view.setUint16(at, Math.floor(value / 0x1_0000_0000))
      at += 2
      uint32(value % 0x1_0000_0000)
    },
    chain: (value: Chain.Chain): void => {
      const { high, low } = Chain.state(value)
      uint32(high)
      uint32(low)
    },
    hex: (value: string): void => {
      for (let i = 0; i < value.length; i += 2) bytes[at++] = Number.parseInt(value.slice(i, i + 2), 16)
    },
    clock: ({ logical, wallTime }: HybridLogicalClock): void => {
      view.setUint16(at, Math.floor(wallTime / 0x1_0000_0000))
      at += 2
      uint32(wallTime % 0x1_0000_0000)
      uint32(logical)
    },
    byte: (value: number): void => void (bytes[at++] = value),
    raw: (value: Uint8Array): void => {
      bytes.set(value, at)
      at += value.length
    },
    /** UTF-8, whose length (2 bytes) comes before it. */
    name: (value: Uint8Array): void => {
      view.setUint16(at, value.length)
      bytes.set(value, at + 2)
      at += 2 + value.length
    },
    tail: (value: Uint8Array): void => bytes.set(value, at)
  }
}

/** Reads a frame. */
export type Reader = ReturnType<typeof read>

const isLog = Schema.is(LogId.LogId)
const isReplica = Schema.is(ReplicaId.ReplicaId)

/** Reads from the front; throws at the end of the bytes, and at what is not what is asked for. */
export const read = (bytes: Uint8Array) => {
  const view = Chain.viewOf(bytes)
  let at = 0
  const byte = (): number => view.getUint8(at++)
  const uint32 = (): number => {
    const value = view.getUint32(at)
    at += 4
    return value
  }
  const text = (): string => {
    let value = ""
    for (let left = byte(); left > 0; left--) value += String.fromCharCode(byte())
    return value
  }
  const raw = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new Error(`${length} bytes are said to follow, and there are fewer`)
    const value = bytes.subarray(at, at + length)
    at += length
    return value
  }
  const rest = (): Uint8Array => {
    const value = bytes.subarray(at)
    at = bytes.length
    return value
  }
  return {
    byte,
    uint32,
    text,
    raw,
    rest,
    log: (): LogId.LogId => {
      const value = text()
      if (!isLog(value)) throw new Error(`${JSON.stringify(value)} does not name a log`)
      return value
    },
    replica: (): ReplicaId.ReplicaId => {
      const value = text()
      if (!isReplica(value)) throw new Error(`${JSON.stringify(value)} does not name a replica`)
      return value
    },
    sequence: (): number => {
      const high = view.getUint16(at)
      at += 2
      return high * 0x1_0000_0000 + uint32()
    },
    chain: (): Chain.Chain => Chain.format({ high: uint32(), low: uint32() }),
    /** So many bytes as hexadecimal digits. */
    hex: (length: number): string => {
      let value = ""
      for (let left = length; left > 0; left--) value += byte().toString(16).padStart(2, "0")
      return value
    },
    flag: (): boolean => {
      const value = byte()
      if (value > 1) throw new Error(`${value} is neither yes nor no`)
      return value === 1
    },
    clock: (): HybridLogicalClock => {
      const high = view.getUint16(at)
      at += 2
      return { wallTime: high * 0x1_0000_0000 + uint32(), logical: uint32() }
    },
    name: (): string => {
      const start = at + 2
      at = start + view.getUint16(at)
      if (at > bytes.length) throw new Error("a name is cut off")
      return utf8.decode(bytes.subarray(start, at))
    },
    end: (): void => {
      if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes too many`)
    }
  }
}
