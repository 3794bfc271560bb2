import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Effect, Stream } from "effect"
import { fileURLToPath } from "node:url"
import * as Lines from "../src/tools/Lines.ts"

const encode = (text: string) => new TextEncoder().encode(text)
const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)

/** What a line asks for, or its reason. */
const read = (line: Lines.Line) =>
  line._tag === "Write"
    ? [line.number, line.write.namespace, line.write.key, decode(line.write.value)]
    : [line.number, line.reason]

const parse = (value: unknown) => read(Lines.parse(1, typeof value === "string" ? value : JSON.stringify(value)))

const split = (chunks: ReadonlyArray<Uint8Array>, maxBytes = 1000) => {
  const splitter = Lines.makeSplitter(maxBytes)
  return [...chunks.flatMap(splitter.push), ...splitter.end()].map(read)
}

describe("one line", () => {
  it("is a place and a value", () => {
    assert.deepStrictEqual(parse({ namespace: "n", key: "k", value: { a: [1, null, "ü"] } }), [
      1,
      "n",
      "k",
      '{"a":[1,null,"ü"]}'
    ])
    assert.deepStrictEqual(parse({ value: null, key: "k", namespace: "n" }), [1, "n", "k", "null"])
  })

  it("has its value as JSON, text or bytes, with a type, or is a delete", () => {
    const write = (line: object) => {
      const read = Lines.parse(1, JSON.stringify({ namespace: "n", key: "k", ...line }))
      return read._tag === "Write" ? read.write : read.reason
    }
    const place = { kind: "put", namespace: "n", key: "k" } as const
    assert.deepStrictEqual(write({ json: [1] }), { ...place, value: encode("[1]"), contentType: "application/json" })
    assert.deepStrictEqual(write({ text: "é" }), { ...place, value: encode("é") })
    assert.deepStrictEqual(write({ base64: "AP8=", contentType: "image/x" }), {
      ...place,
      value: Uint8Array.of(0, 255),
      contentType: "image/x"
    })
    assert.deepStrictEqual(write({ delete: true }), { ...place, kind: "delete", value: new Uint8Array(0) })
    assert.propertyVal(write({ key: ".", delete: true }), "kind", "delete")
    for (const [line, reason] of [
      [{ value: 1, text: "a" }, "text: there is value too, and a record has one value"],
      [{ text: 1 }, "text: expected text"],
      [{ base64: "?" }, "base64: expected bytes in base64"],
      [{ delete: false }, "delete: expected true"],
      [{ delete: true, contentType: "a/b" }, "contentType: a delete has no value"],
      [{ text: "a", contentType: 1 }, "contentType: expected text, got a number"],
      [{ text: "a", contentType: "\n" }, "contentType: it has other characters than visible ASCII"]
    ] as const) {
      assert.strictEqual(write(line), reason)
    }
  })

  it("or any object with an id, stored whole among the memories", () => {
    assert.deepStrictEqual(parse({ id: "x", text: "t" }), [1, "memories", "x", '{"id":"x","text":"t"}'])
    assert.deepStrictEqual(parse({ id: 42 }), [1, "memories", "42", '{"id":42}'])
    assert.deepStrictEqual(parse({ id: -1.5 }), [1, "memories", "-1.5", '{"id":-1.5}'])
    assert.deepStrictEqual(parse({ id: "x", key: "k" }), [1, "memories", "x", '{"id":"x","key":"k"}'])
  })

  it("keeps numbers as they are spelled where JavaScript would round them, or take them for nothing", () => {
    for (const value of [
      "12345678901234567890",
      '{"id":9007199254740993,"s":"1e400","list":[1e400,-1E+400,1.5,2e3]}',
      "[0.12345678901234567890,1.000000000000000000000000001,-1e-400,0.30000000000000004,0.1]",
      "[1764267000.123456789,0.1]",
      "[-99999999999999.99,1.5]"
    ]) {
      const kept = value.replace("2e3", "2000")
      assert.deepStrictEqual(parse(`{"namespace":"n","key":"k","value":${value}}`), [1, "n", "k", kept])
      assert.deepStrictEqual(parse(`{"id":"k","v":${value}}`), [1, "memories", "k", `{"id":"k","v":${kept}}`])
    }
    assert.deepStrictEqual(parse('{"id":1e3}'), [1, "memories", "1000", '{"id":1000}'])
  })

  const rejected: ReadonlyArray<readonly [name: string, line: unknown, reason: string | RegExp]> = [
    ["cut off", '{"namespace":"n"', /^not JSON: /],
    ["no value", { namespace: "n", key: "k" }, "value missing, and no id either"],
    ["nothing known", { name: "n" }, "neither namespace, key and value nor an id"],
    ["a list", [1], "expected an object, got a list"],
    ["null", null, "expected an object, got null"],
    ["a number", 1, "expected an object, got a number"],
    ["a key of another type", { namespace: "n", key: 1, value: 1 }, "key: expected text, got a number"],
    ["a namespace of another type", { namespace: [], key: "k", value: 1 }, "namespace: expected text, got a list"],
    ["a number of many digits", "12345678901234567890", "expected an object, got a number"],
    ["an empty key", { namespace: "n", key: "", value: 1 }, "key: it is empty"],
    ["an empty namespace", { namespace: "", key: "k", value: 1 }, "namespace: it is empty"],
    ["an empty id", { id: "" }, "key: it is empty"],
    ["a key that no path can have", { namespace: "n", key: "..", value: 1 }, /^key: .* choose another name$/],
    [
      "a namespace that no path can have",
      { namespace: ".", key: "k", text: "" },
      /^namespace: .* choose another name$/
    ],
    ["an id that no path can have", { id: "." }, /^key: .* choose another name$/],
    ["an id of another type", { id: true }, "id: expected text or a number, got a boolean"],
    ["an id that lost digits", '{"id":12345678901234567890}', /too large to be exact/],
    [
      "a key with half a character",
      '{"namespace":"n","key":"\\ud800","value":1}',
      "key: it is not well-formed Unicode"
    ],
    ["a key with NUL", { namespace: "n", key: "\u0000", value: 1 }, "key: it contains a NUL character"],
    ["a key that is too long", { namespace: "n", key: "k".repeat(1025), value: 1 }, /^key: 1025 bytes/],
    ["a value that is too large", { namespace: "n", key: "k", value: "v".repeat(1024 * 1024) }, /^value: \d+ bytes/],
    ["a value that is too deep", `{"id":1,"v":${"[".repeat(1e5)}${"]".repeat(1e5)}}`, /nested too deeply/]
  ]
  for (const [name, line, reason] of rejected) {
    it(`is rejected: ${name}`, () => {
      const [number, said] = parse(line)
      assert.strictEqual(number, 1)
      if (typeof reason === "string") assert.strictEqual(said, reason)
      else assert.match(String(said), reason)
    })
  }
})

describe("bytes to lines", () => {
  it("numbers lines as an editor does and drops blank ones, whatever ends them", () => {
    assert.deepStrictEqual(split([encode('\n{"id":1}\r\n \t\r\n{"id":2}\n\n{"id":3}')]), [
      [2, "memories", "1", '{"id":1}'],
      [4, "memories", "2", '{"id":2}'],
      [6, "memories", "3", '{"id":3}']
    ])
  })

  it("does not depend on where the chunks end", () => {
    const bytes = encode('{"id":"ä😀"}\n\r\n{"id":"€"}\n')
    const whole = split([bytes])
    assert.deepStrictEqual(split(Array.from(bytes, (byte) => Uint8Array.of(byte))), whole)
    assert.strictEqual(whole.length, 2)
  })

  it("drops a byte-order mark at the start of the file only", () => {
    assert.deepStrictEqual(split([encode('\ufeff{"id":1}\n')]), [[1, "memories", "1", '{"id":1}']])
    assert.match(String(split([encode('{"id":1}\n\ufeff{"id":2}\n')])[1]![1]), /^not JSON/)
  })

  it("says of a file that is packed how to unpack it", () => {
    const [first, ...others] = split([new Uint8Array([0x1f, 0x8b, 8, 0, 10, 0x1f, 0x8b, 10])])
    assert.deepStrictEqual(first, [
      1,
      "the line is not UTF-8 text, but packed by gzip: gunzip -c FILE | quorum import -"
    ])
    assert.deepStrictEqual(others, [[2, "the line is not UTF-8 text"]])
  })

  it("rejects what is not UTF-8 and goes on", () => {
    assert.deepStrictEqual(split([Uint8Array.of(0xff, 0x0a), encode('{"id":1}')]), [
      [1, "the line is not UTF-8 text"],
      [2, "memories", "1", '{"id":1}']
    ])
  })

  it("rejects a line that is too long, keeps none of it, and goes on", () => {
    const chunk = encode("x".repeat(64))
    const long = Array.from({ length: 100 }, () => chunk)
    assert.deepStrictEqual(split([...long, encode('\n{"id":1}\n'), ...long], 1000), [
      [1, "the line is longer than 1000 bytes"],
      [2, "memories", "1", '{"id":1}'],
      [3, "the line is longer than 1000 bytes"]
    ])
    assert.strictEqual(
      split([encode("x".repeat(1000))], 1000)[0]![1]!
        .toString()
        .startsWith("not JSON"),
      true
    )
  })
})

const fixture = fileURLToPath(new URL("fixtures/bad-lines.jsonl", import.meta.url))

describe("a file", () => {
  it.effect("with bad lines: each is reported with its number, the others are imported", () =>
    Effect.gen(function* () {
      const lines = yield* Stream.runCollect(Lines.read(fixture))
      assert.deepStrictEqual(
        lines.filter(({ _tag }) => _tag === "Rejected").map(({ number }) => number),
        [3, 4, 5, 6, 7, 9, 11]
      )
      assert.deepStrictEqual(
        lines.filter(({ _tag }) => _tag === "Write").map(({ number }) => number),
        [1, 2, 10, 12]
      )
      assert.deepStrictEqual(yield* Lines.count(fixture), { lines: 11, writes: 4 })
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("is read up to a limit, which counts lines that are not blank", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Lines.count(fixture, 8), { lines: 8, writes: 2 })
      assert.deepStrictEqual(yield* Lines.count(fixture, 9), { lines: 9, writes: 3 })
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
