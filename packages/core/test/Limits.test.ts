import { assert, describe, it } from "@effect/vitest"
import { Option, Result } from "effect"
import { Entry, Limits } from "../src/index.ts"

const limits: Limits.Limits = { namespaceBytes: 8, keyBytes: 10, valueBytes: 4 }

const rejection = (write: unknown, within: Limits.Limits = limits) =>
  Option.getOrUndefined(Result.getFailure(Limits.checkWrite(write, within)))

const check = (write: Entry.Write, within: Limits.Limits = limits) => {
  const rejected = rejection(write, within)
  return rejected === undefined ? undefined : { field: rejected.field, reason: rejected.reason }
}

describe("Limits", () => {
  it("a write up to every limit is taken", () => {
    assert.isUndefined(check(Entry.put("n".repeat(8), "k".repeat(10), "vvvv")))
    assert.isUndefined(check(Entry.put("n", "k", "")))
    assert.isUndefined(check(Entry.remove("n", "k")))
  })

  it("an empty namespace or key is invalid", () => {
    assert.deepStrictEqual(check(Entry.put("", "k", "v")), { field: "namespace", reason: "invalid" })
    assert.deepStrictEqual(check(Entry.remove("n", "")), { field: "key", reason: "invalid" })
  })

  it("one byte more than a limit is too large, and the field is named", () => {
    assert.deepStrictEqual(check(Entry.put("n".repeat(9), "k", "v")), { field: "namespace", reason: "too_large" })
    assert.deepStrictEqual(check(Entry.put("n", "k".repeat(11), "v")), { field: "key", reason: "too_large" })
    assert.deepStrictEqual(check(Entry.put("n", "k", "vvvvv")), { field: "value", reason: "too_large" })
  })

  it("names are measured in bytes of UTF-8", () => {
    assert.isUndefined(check(Entry.put("éééé", "k", "v")))
    assert.deepStrictEqual(check(Entry.put("ééééé", "k", "v")), { field: "namespace", reason: "too_large" })
    assert.isUndefined(check(Entry.put("n", "€€€a", "v")))
    assert.deepStrictEqual(check(Entry.put("n", "€€€éé", "v")), { field: "key", reason: "too_large" })
    assert.isUndefined(check(Entry.put("😀😀", "k", "v")))
    assert.deepStrictEqual(check(Entry.put("😀😀a", "k", "v")), { field: "namespace", reason: "too_large" })
  })

  it("the detail says how much it is and how much it may be", () => {
    assert.strictEqual(rejection(Entry.put("n", "k", "vvvvv"), limits)?.detail, "5 bytes, the limit is 4")
    assert.strictEqual(
      rejection(Entry.put("n", "k".repeat(11), "v"), limits)?.detail,
      "11 bytes of UTF-8, the limit is 10"
    )
  })

  it("names with NUL or with half a surrogate pair are invalid", () => {
    for (const text of ["\u0000", "a\u0000b", "\ud800", "a\udfff", "\udc00\ud800"]) {
      assert.deepStrictEqual(check(Entry.put(text, "k", "v")), { field: "namespace", reason: "invalid" })
      assert.deepStrictEqual(check(Entry.put("n", text, "v")), { field: "key", reason: "invalid" })
    }
    assert.isUndefined(check(Entry.put("n", "\u{10000}", "v")))
    assert.isUndefined(check(Entry.put("n", "\ud7ff\ue000", "v")))
  })

  it("a content type is what may stand in a header of HTTP: up to 255 visible characters of ASCII, of a put alone", () => {
    const typed = (contentType: unknown, write = Entry.put("n", "k", "v")) =>
      check({ ...write, contentType: contentType as string })
    for (const type of ["x", 'a/b; c="d e"', "~".repeat(255), undefined]) assert.isUndefined(typed(type))
    assert.deepStrictEqual(typed("x".repeat(256)), { field: "contentType", reason: "too_large" })
    for (const type of ["", "a\nb", "a\tb", "a\0", "a\u007f", "é", "\u2028", 5, null, ["x"]]) {
      assert.deepStrictEqual(typed(type), { field: "contentType", reason: "invalid" }, String(type))
    }
    assert.deepStrictEqual(typed("a/b", Entry.remove("n", "k")), { field: "contentType", reason: "invalid" })
  })

  it("a delete with a value is invalid, for no peer could take the log from there on", () => {
    const write: Entry.Write = { kind: "delete", namespace: "n", key: "k", value: Uint8Array.of(1) }
    assert.deepStrictEqual(check(write), { field: "value", reason: "invalid" })
  })

  it("L63 a list has as many writes as an entry may have records, and says so before it looks at one", () => {
    const writes = (count: number) => Array.from({ length: count }, (_, i) => Entry.put("n", `k${i}`, ""))
    assert.isTrue(Result.isSuccess(Limits.checkWrites(writes(Entry.maxRecords), Limits.defaults)))
    const rejected = Result.getFailure(
      Limits.checkWrites(Array.from({ length: Entry.maxRecords + 1 }), Limits.defaults)
    )
    assert.deepInclude(Option.getOrThrow(rejected), {
      field: "writes",
      reason: "too_large",
      detail: "10241 of them, the limit is 10240"
    })
  })

  it("the defaults fit the layout of an entry", () => {
    assert.isAtMost(Limits.defaults.namespaceBytes, Entry.maxNamespaceBytes)
    assert.isAtMost(Limits.defaults.keyBytes, Entry.maxKeyBytes)
    assert.isUndefined(check(Entry.put("n", "k", new Uint8Array(1024 * 1024)), Limits.defaults))
    assert.deepStrictEqual(check(Entry.put("n", "k", new Uint8Array(1024 * 1024 + 1)), Limits.defaults), {
      field: "value",
      reason: "too_large"
    })
  })
})
