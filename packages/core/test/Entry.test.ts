import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import type { RunId } from "../src/adapter.ts"
import { Entry, type HybridLogicalClock } from "../src/index.ts"

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

const tie = "1122334455667788" as RunId.RunId
const stampOf = (clock: HybridLogicalClock.HybridLogicalClock, unprobed = false) => ({ clock, tie, unprobed })

const encode = (writes: Entry.Writes, clock: HybridLogicalClock.HybridLogicalClock, unprobed = false): Uint8Array => {
  const bytes = new Uint8Array(Entry.maxSize(writes))
  return bytes.subarray(0, Entry.encodeInto(bytes, 0, writes, stampOf(clock, unprobed)))
}

/** Kind and names of the only record. */
const headerOf = (bytes: Uint8Array) => Entry.headerAt(bytes, Entry.firstRecord(0))

const clock = { wallTime: 0x0102_0304_0506, logical: 0x0708_090a }
const maxClock = { wallTime: 2 ** 48 - 1, logical: 2 ** 32 - 1 }

/** Text of one to four bytes per character, long enough at times to leave the short paths. */
const characters = ["a", "z", "\u007f", "\u0080", "é", "\u07ff", "\u0800", "\u20ac", "\ud7ff", "\ue000", "\uffff"]
const Text = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals([...characters, "\u{10000}", "😀", "\u{10ffff}"])), {
    minLength: 1,
    maxLength: 80
  }),
  (all) => all.join("")
)
const Bytes = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))), {
    maxLength: 90
  }),
  (all) => Uint8Array.from(all)
)
const Clock = Arbitrary.schema(
  Schema.Struct({
    wallTime: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 48 - 1 })),
    logical: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 32 - 1 }))
  })
)

/** Bytes of which every read beyond the end throws. */
const guarded = (bytes: Uint8Array): Uint8Array =>
  new Proxy(bytes, {
    get: (target, name) => {
      if (name === "length") return target.length
      const index = typeof name === "string" ? Number(name) : Number.NaN
      if (!Number.isInteger(index)) throw new Error(`unexpected access to ${String(name)}`)
      if (index < 0 || index >= target.length) throw new Error(`read at ${index} of ${target.length}`)
      return target[index]
    }
  })

describe("Entry", () => {
  // The bytes are stored and sent: this layout never changes.
  describe("layout", () => {
    const header = (length: string, flags = "00") =>
      [
        length, // bytes that follow
        "02", // layout
        flags,
        "010203040506", // wall time
        "0708090a", // logical
        "1122334455667788" // tie
      ].join("")

    const putRecord = [
      "01", // put
      "03", // bytes of the content type
      "00000003", // bytes of the value
      "02", // bytes of the namespace
      "0003", // bytes of the key
      hex(Buffer.from("nskeya/bval"))
    ].join("")

    const deleteRecord = `020000000000020003${hex(Buffer.from("nskey"))}`

    it("a put is a header with length, flags, clock and tie, and a record with lengths, names, type and value", () => {
      assert.strictEqual(
        hex(encode(Entry.put("ns", "key", "val", { contentType: "a/b" }), clock)),
        header("00000028") + putRecord
      )
    })

    it("of entries of several writers each comes back with its own tie", () => {
      const ties = ["1122334455667788", "1122334455667789", "1122334555667789", "0000000000000000", "1122334455667788"]
      for (const each of ties) {
        const bytes = new Uint8Array(100)
        Entry.encodeInto(bytes, 0, Entry.remove("ns", "key"), { ...stampOf(clock), tie: each as RunId.RunId })
        assert.strictEqual(Entry.stampAt(bytes, 0).tie, each)
      }
    })

    it("a delete has kind 2 and no value", () => {
      assert.strictEqual(hex(encode(Entry.remove("ns", "key"), clock)), header("00000022") + deleteRecord)
    })

    it("several writes are one entry with a record each, in their order", () => {
      const writes: Entry.Writes = [Entry.put("ns", "key", "val", { contentType: "a/b" }), Entry.remove("ns", "key")]
      assert.strictEqual(hex(encode(writes, clock)), header("00000036") + putRecord + deleteRecord)
      assert.strictEqual(hex(encode([Entry.remove("ns", "key")], clock)), header("00000022") + deleteRecord)
    })

    it("an entry that was stamped without a probe has flag 1", () => {
      const bytes = encode(Entry.remove("ns", "key"), clock, true)
      assert.strictEqual(hex(bytes), header("00000022", "01") + deleteRecord)
      assert.isTrue(Entry.stampAt(bytes, 0).unprobed)
      assert.isFalse(Entry.stampAt(encode(Entry.remove("ns", "key"), clock), 0).unprobed)
    })

    it("lengths count bytes of UTF-8, not characters", () => {
      assert.strictEqual(
        hex(encode(Entry.put("é", "😀", new Uint8Array()), clock).subarray(Entry.headerBytes)),
        "01" + "00" + "00000000" + "02" + "0004" + "c3a9" + "f09f9880"
      )
    })

    it("the greatest clock fills its ten bytes", () => {
      assert.strictEqual(hex(encode(Entry.remove("n", "k"), maxClock).subarray(6, 16)), "ff".repeat(10))
    })

    it("the longest names fill their length fields", () => {
      const write = Entry.put("n".repeat(Entry.maxNamespaceBytes), "k".repeat(Entry.maxKeyBytes), "v")
      const bytes = encode(write, clock)
      assert.strictEqual(hex(bytes.subarray(30, 33)), "ffffff")
      assert.deepStrictEqual(Entry.decodeAt(bytes, 0), { ...stampOf(clock), records: [write] })
    })
  })

  describe("round trip", () => {
    it.prop(
      "what is encoded at any offset is decoded from there, and its end is where it ended",
      {
        namespace: Text,
        key: Text,
        value: Bytes,
        clock: Clock,
        unprobed: Arbitrary.schema(Schema.Boolean),
        at: Arbitrary.schema(Schema.Literals([0, 1, 7, 64]))
      },
      ({ at, clock, key, namespace, unprobed, value }) => {
        const put = Entry.put(namespace, key, value)
        const typed = Entry.put(key.slice(0, 20), namespace, value, { contentType: "text/plain" })
        const remove = Entry.remove(namespace, key)
        const all: ReadonlyArray<Entry.Writes> = [put, typed, remove, [put, typed, remove], [remove]]
        for (const write of all) {
          const stamp = stampOf(clock, unprobed)
          const bytes = new Uint8Array(at + Entry.maxSize(write) + 5).fill(0xee)
          const end = Entry.encodeInto(bytes, at, write, stamp)
          assert.isAtMost(end - at, Entry.maxSize(write))
          assert.isTrue(bytes.subarray(0, at).every((byte) => byte === 0xee))
          assert.deepStrictEqual(Entry.end(bytes.subarray(0, end), at), Result.succeed(end))
          assert.strictEqual(Entry.endUnsafe(bytes, at), end)
          assert.deepStrictEqual(Entry.decodeAt(bytes, at), { ...stamp, records: Entry.listOf(write) })
          assert.deepStrictEqual(Entry.clockAt(bytes, at), clock)
          assert.deepStrictEqual(Entry.stampAt(bytes, at), stamp)
          assert.isUndefined(Entry.badName(bytes, at))
        }
      },
      { arbitrary: { runs: 300 } }
    )

    it("names of every length around the short paths come back, ASCII and not", () => {
      for (const length of [1, 31, 32, 33, 63, 64, 65, 200]) {
        for (const last of ["x", "é", "€", "😀", "\u0000", "\uffff"]) {
          const text = "a".repeat(length - 1) + last
          const bytes = encode(Entry.put(text.slice(-60), text, "v"), clock)
          assert.strictEqual(headerOf(bytes).key, text)
          assert.strictEqual(headerOf(bytes).namespace, text.slice(-60))
        }
      }
    })

    it("a byte order mark at the start of a name is part of the name", () => {
      const bytes = encode(Entry.put("\ufeffn", "\ufeffk", "v"), clock)
      assert.strictEqual(headerOf(bytes).key, "\ufeffk")
      assert.strictEqual(headerOf(bytes).namespace, "\ufeffn")
    })

    it("an empty value and one of 1 MiB come back", () => {
      for (const length of [0, 1024 * 1024]) {
        const value = Uint8Array.from({ length }, (_, i) => (i * 31) & 0xff)
        const bytes = encode(Entry.put("n", "k", value), maxClock)
        assert.deepStrictEqual(Entry.end(bytes, 0), Result.succeed(bytes.length))
        assert.strictEqual(Buffer.compare(Entry.decodeAt(bytes, 0).records[0]!.value, value), 0)
        assert.deepStrictEqual(Entry.clockAt(bytes, 0), maxClock)
      }
    })

    it("a value given as text is its UTF-8", () => {
      assert.deepStrictEqual(Entry.put("n", "k", "é€").value, Uint8Array.of(0xc3, 0xa9, 0xe2, 0x82, 0xac))
    })
  })

  describe("end", () => {
    const whole = encode(Entry.put("ns", "key", "value"), clock)

    const detail = (bytes: Uint8Array, offset = 0, at = offset): string => {
      const result = Entry.end(guarded(bytes), offset)
      assert(Result.isFailure(result), "expected a malformed entry")
      assert.instanceOf(result.failure, Entry.MalformedEntry)
      assert.strictEqual(result.failure.offset, at)
      return result.failure.detail
    }

    it("every cut of an entry is malformed", () => {
      for (let length = 0; length < Entry.headerBytes; length++) {
        assert.strictEqual(detail(whole.subarray(0, length)), "the header is cut off")
      }
      for (let length = Entry.headerBytes; length < whole.length; length++) {
        assert.strictEqual(detail(whole.subarray(0, length)), "the entry is cut off")
      }
    })

    it("what is wrong is named", () => {
      const changed = (at: number, ...to: ReadonlyArray<number>) => {
        const bytes = whole.slice()
        bytes.set(to, at)
        return bytes
      }
      const record = Entry.firstRecord(0)
      const inRecord = (at: number, ...to: ReadonlyArray<number>) => detail(changed(record + at, ...to), 0, record)
      const tooLong = "a record is longer than its entry"
      assert.strictEqual(detail(changed(4, 1)), "unknown layout 1")
      assert.strictEqual(detail(changed(4, 3)), "unknown layout 3")
      assert.strictEqual(detail(changed(5, 2)), "unknown flags 2")
      assert.strictEqual(inRecord(0, 0), "unknown kind 0")
      assert.strictEqual(inRecord(0, 3), "unknown kind 3")
      assert.strictEqual(inRecord(0, 2), "a delete carries a value")
      assert.strictEqual(inRecord(0, 2, 1, 0, 0, 0, 0), "a delete carries a value")
      assert.strictEqual(detail(changed(0, 0xff, 0xff, 0xff, 0xff)), "the entry is cut off")
      assert.strictEqual(detail(changed(0, 0, 0, 0, 0)), "it has no record")
      assert.strictEqual(detail(changed(0, 0, 0, 0, 20)), "it has no record")
      assert.strictEqual(detail(changed(0, 0, 0, 0, 21), 0, record), "a record is cut off")
      assert.strictEqual(inRecord(1, 1), tooLong)
      assert.strictEqual(inRecord(2, 0xff, 0xff, 0xff, 0xff), tooLong)
      assert.strictEqual(inRecord(6, 0xff), tooLong)
      assert.strictEqual(inRecord(7, 0xff, 0xff), tooLong)
      // A shorter key leaves bytes for another record, which they are not; a longer one has none to take.
      assert.strictEqual(detail(changed(record + 8, 2), 0, whole.length - 1), "a record is cut off")
      assert.strictEqual(inRecord(8, 4), tooLong)
      assert.strictEqual(detail(whole, whole.length), "the header is cut off")
      assert.strictEqual(detail(whole, whole.length + 100), "the header is cut off")
    })

    it.prop(
      "whatever the bytes are, it neither throws nor reads beyond them, and what it accepts can be decoded",
      {
        bytes: Bytes,
        at: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))),
        length: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 80 }))),
        kind: Arbitrary.schema(Schema.Literals([1, 2])),
        plausible: Arbitrary.schema(Schema.Boolean)
      },
      ({ at, bytes, kind, length, plausible }) => {
        if (plausible && bytes.length >= at + Entry.headerBytes) {
          // Garbage that passes the first checks: a short length, the layout, a known kind, short names.
          bytes.set([0, 0, 0, length, 2, 0], at)
          for (let record = at + Entry.headerBytes; record + 8 < bytes.length; record += 9) {
            bytes.set([kind, 0, 0, 0, 0, bytes[record + 5]! & 3, bytes[record + 6]! & 7, 0], record)
            bytes[record + 8]! &= 7
          }
        }
        const result = Entry.end(guarded(bytes), at)
        if (Result.isFailure(result)) return
        const end = result.success
        assert.isAtMost(end, bytes.length)
        assert.isAtLeast(end, at + Entry.headerBytes)
        assert.strictEqual(Entry.endUnsafe(guarded(bytes), at), end)
        const value = Entry.decodeAt(bytes, at).records.at(-1)!.value
        assert.strictEqual(value.byteOffset + value.length, bytes.byteOffset + end)
      },
      { arbitrary: { runs: 2000 } }
    )
  })
})
