/** Finding one's way among rows of which some cannot be read, on both sides of every edge. */
import { assert, describe, it } from "@effect/vitest"
import { Chain } from "@quorum/core/adapter"
import * as Damage from "../src/internal/damage.ts"

/** What SQLite throws for a page that is damaged. */
const corrupt = (errcode = 11): Error => Object.assign(new Error("database disk image is malformed"), { errcode })

interface Row {
  readonly first: number
  readonly last: number
  /** It is on a page that cannot be read. */
  readonly bad?: boolean
}

/** A table of these rows. */
const tableOf = (...rows: ReadonlyArray<Row>): Damage.Table => {
  const found = (row: Row | undefined) => {
    if (row?.bad === true) throw corrupt()
    return row === undefined ? undefined : { ...row, chain: `after ${row.last}` }
  }
  return {
    newest: { get: () => found(rows.at(-1)) },
    rowAfter: { get: (after = 0) => found(rows.find(({ last }) => last > after)) },
    endBefore: { get: (seq = 0) => found(rows.findLast(({ last }) => last < seq)) }
  }
}

/** A damaged page above leads to the same row, whatever is asked for. */
const misleading = (row: Row): Damage.Table => {
  const get = () => ({ ...row, chain: `after ${row.last}` })
  return { newest: { get }, rowAfter: { get }, endBefore: { get } }
}

describe("DamageIsLocal: a look-up", () => {
  it("takes what SQLite says of a damaged page, of whatever kind, for damage, and nothing else", () => {
    const outOfRange = Object.assign(new Error("too large"), { code: "ERR_OUT_OF_RANGE" })
    for (const cause of [corrupt(), corrupt(11 | (1 << 8)), corrupt(11 | (3 << 8)), outOfRange]) {
      assert.isTrue(Damage.is(cause))
    }
    const others = [corrupt(10), corrupt(10 | (1 << 8)), corrupt(1), new Error("no code"), "text", undefined, 11]
    for (const cause of others) assert.isFalse(Damage.is(cause))
  })

  it("finds the row after an entry, and damage where it leads to one that was not asked for", () => {
    const table = misleading({ first: 5, last: 6 })
    assert.strictEqual(Damage.rowAfter(table, 6), "damaged")
    assert.include(Damage.rowAfter(table, 5), { last: 6 })
    assert.isUndefined(Damage.rowAfter(tableOf({ first: 1, last: 2 }), 2))
  })

  it("finds the end before an entry, and damage where it leads to one that was not asked for", () => {
    const table = misleading({ first: 5, last: 6 })
    assert.strictEqual(Damage.endBefore(table, 6), "damaged")
    assert.deepStrictEqual(Damage.endBefore(table, 7), { last: 6, chain: "after 6" })
    assert.deepStrictEqual(Damage.endBefore(tableOf({ first: 1, last: 2 }), 2), { last: 0, chain: Chain.empty })
  })

  it("finds where rows can be read again: where the next one begins, and not where it should", () => {
    const bad = { first: 3, last: 40, bad: true }
    assert.strictEqual(Damage.readableAfter(tableOf(bad, { first: 41, last: 50 }), 3, 50), 41)
    // Between them is nothing; and what says that it begins earlier cannot.
    assert.strictEqual(Damage.readableAfter(tableOf(bad, { first: 45, last: 50 }), 3, 50), 45)
    assert.strictEqual(Damage.readableAfter(tableOf(bad, { first: 2, last: 50 }), 3, 50), 41)
    assert.strictEqual(Damage.readableAfter(tableOf(bad), 3, 40), 41)
  })

  it("finds the end of what can be read where that cannot be, to the entry", () => {
    for (const end of [1, 6, 7, 100]) {
      const table = tableOf({ first: 1, last: end }, { first: end + 1, last: end + 50, bad: true })
      assert.strictEqual(Damage.readableEnd(table), end + 1)
    }
    assert.throws(() => Damage.readableEnd(misleading({ first: 1, last: Number.MAX_VALUE })), /does not show where/)
  })
})
