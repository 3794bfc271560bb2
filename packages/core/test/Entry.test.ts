import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import { Entry, type HybridLogicalClock } from "../src/index.ts"

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

const encode = (write: Entry.Write, clock: HybridLogicalClock.HybridLogicalClock): Uint8Array => {
  const bytes = new Uint8Array(Entry.maxSize(write))
  return bytes.subarray(0, Entry.encodeInto(bytes, 0, write, clock))
}

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
    maxLength: 60
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
    it("a put is its length, kind, clock, lengths of the names, names and value", () => {
      assert.strictEqual(
        hex(encode(Entry.put("ns", "key", "val"), clock)),
        [
          "00000016", // 22 bytes follow
          "01", // put
          "010203040506", // wall time
          "0708090a", // logical
          "02", // bytes of the namespace
          "0003", // bytes of the key
          hex(Buffer.from("nskeyval"))
        ].join("")
      )
    })

    it("a delete has kind 2 and no value", () => {
      assert.strictEqual(
        hex(encode(Entry.remove("ns", "key"), clock)),
        `00000013020102030405060708090a020003${hex(Buffer.from("nskey"))}`
      )
    })

    it("lengths count bytes of UTF-8, not characters", () => {
      assert.strictEqual(
        hex(encode(Entry.put("é", "😀", new Uint8Array()), { wallTime: 0, logical: 0 })),
        "00000014" + "01" + "000000000000" + "00000000" + "02" + "0004" + "c3a9" + "f09f9880"
      )
    })

    it("the greatest clock fills its ten bytes", () => {
      assert.strictEqual(hex(encode(Entry.remove("n", "k"), maxClock).subarray(5, 15)), "ff".repeat(10))
    })

    it("the longest names fill their length fields", () => {
      const write = Entry.put("n".repeat(Entry.maxNamespaceBytes), "k".repeat(Entry.maxKeyBytes), "v")
      const bytes = encode(write, clock)
      assert.strictEqual(hex(bytes.subarray(15, 18)), "ffffff")
      assert.deepStrictEqual(Entry.decodeAt(bytes, 0), { ...write, clock })
    })
  })

  describe("round trip", () => {
    it.prop(
      "what is encoded at any offset is decoded from there, and its end is where it ended",
      { namespace: Text, key: Text, value: Bytes, clock: Clock, at: Arbitrary.schema(Schema.Literals([0, 1, 7, 64])) },
      ({ at, clock, key, namespace, value }) => {
        for (const write of [Entry.put(namespace, key, value), Entry.remove(namespace, key)]) {
          const bytes = new Uint8Array(at + Entry.maxSize(write) + 5).fill(0xee)
          const end = Entry.encodeInto(bytes, at, write, clock)
          assert.isAtMost(end - at, Entry.maxSize(write))
          assert.isTrue(bytes.subarray(0, at).every((byte) => byte === 0xee))
          assert.deepStrictEqual(Entry.end(bytes.subarray(0, end), at), Result.succeed(end))
          assert.strictEqual(Entry.endUnsafe(bytes, at), end)
          assert.deepStrictEqual(Entry.decodeAt(bytes, at), { ...write, clock })
          assert.deepStrictEqual(Entry.clockAt(bytes, at), clock)
          const { value: _, ...header } = { ...write, clock }
          assert.deepStrictEqual(Entry.headerAt(bytes, at), header)
        }
      },
      { arbitrary: { runs: 300 } }
    )

    it("names of every length around the short paths come back, ASCII and not", () => {
      for (const length of [1, 31, 32, 33, 63, 64, 65, 200]) {
        for (const last of ["x", "é", "€", "😀", "\u0000", "\uffff"]) {
          const text = "a".repeat(length - 1) + last
          const bytes = encode(Entry.put(text.slice(-60), text, "v"), clock)
          assert.strictEqual(Entry.headerAt(bytes, 0).key, text)
          assert.strictEqual(Entry.headerAt(bytes, 0).namespace, text.slice(-60))
        }
      }
    })

    it("a byte order mark at the start of a name is part of the name", () => {
      const bytes = encode(Entry.put("\ufeffn", "\ufeffk", "v"), clock)
      assert.strictEqual(Entry.headerAt(bytes, 0).key, "\ufeffk")
      assert.strictEqual(Entry.headerAt(bytes, 0).namespace, "\ufeffn")
    })

    it("an empty value and one of 1 MiB come back", () => {
      for (const length of [0, 1024 * 1024]) {
        const value = Uint8Array.from({ length }, (_, i) => (i * 31) & 0xff)
        const bytes = encode(Entry.put("n", "k", value), maxClock)
        assert.deepStrictEqual(Entry.end(bytes, 0), Result.succeed(bytes.length))
        assert.strictEqual(Buffer.compare(Entry.decodeAt(bytes, 0).value, value), 0)
        assert.deepStrictEqual(Entry.clockAt(bytes, 0), maxClock)
      }
    })

    it("a value given as text is its UTF-8", () => {
      assert.deepStrictEqual(Entry.put("n", "k", "é€").value, Uint8Array.of(0xc3, 0xa9, 0xe2, 0x82, 0xac))
    })
  })

  describe("end", () => {
    const whole = encode(Entry.put("ns", "key", "value"), clock)

    const detail = (bytes: Uint8Array, offset = 0): string => {
      const result = Entry.end(guarded(bytes), offset)
      assert(Result.isFailure(result), "expected a malformed entry")
      assert.instanceOf(result.failure, Entry.MalformedEntry)
      assert.strictEqual(result.failure.offset, offset)
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
      assert.strictEqual(detail(changed(4, 0)), "unknown kind 0")
      assert.strictEqual(detail(changed(4, 3)), "unknown kind 3")
      assert.strictEqual(detail(changed(4, 2)), "a delete carries a value")
      assert.strictEqual(detail(changed(0, 0xff, 0xff, 0xff, 0xff)), "the entry is cut off")
      assert.strictEqual(detail(changed(0, 0, 0, 0, 0)), "the namespace and the key are longer than the entry")
      assert.strictEqual(detail(changed(15, 0xff)), "the namespace and the key are longer than the entry")
      assert.strictEqual(detail(changed(16, 0xff, 0xff)), "the namespace and the key are longer than the entry")
      // The key may take the bytes of the value, and not one more.
      assert.deepStrictEqual(Entry.end(changed(17, 8), 0), Result.succeed(whole.length))
      assert.strictEqual(detail(changed(17, 9)), "the namespace and the key are longer than the entry")
      assert.strictEqual(detail(whole, whole.length), "the header is cut off")
      assert.strictEqual(detail(whole, whole.length + 100), "the header is cut off")
    })

    it.prop(
      "whatever the bytes are, it neither throws nor reads beyond them, and what it accepts can be decoded",
      {
        bytes: Bytes,
        at: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))),
        length: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 48 }))),
        kind: Arbitrary.schema(Schema.Literals([1, 2])),
        plausible: Arbitrary.schema(Schema.Boolean)
      },
      ({ at, bytes, kind, length, plausible }) => {
        if (plausible && bytes.length >= at + Entry.headerBytes) {
          // Garbage that passes the first checks: a short length, a known kind, short names.
          bytes.set([0, 0, 0, length, kind], at)
          bytes[at + 15]! &= 7
          bytes[at + 16] = 0
          bytes[at + 17]! &= 7
        }
        const result = Entry.end(guarded(bytes), at)
        if (Result.isFailure(result)) return
        const end = result.success
        assert.isAtMost(end, bytes.length)
        assert.isAtLeast(end, at + Entry.headerBytes)
        assert.strictEqual(Entry.endUnsafe(guarded(bytes), at), end)
        const { value } = Entry.decodeAt(bytes, at)
        assert.strictEqual(value.byteOffset + value.length, bytes.byteOffset + end)
      },
      { arbitrary: { runs: 2000 } }
    )
  })
})
