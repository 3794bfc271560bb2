/**
 * Whether the pages of a file of LMDB make up trees. LMDB has no checksums, and believes its pages: where one is damaged, it
 * ends the process, or writes over what is in use. So the file is looked at before it is opened.
 *
 * The layout is that of `MDB_page`, `MDB_node`, `MDB_db` and `MDB_meta` in the `mdb.c` of `lmdb` 3.5, on machines that
 * store the low byte first. A file begins with two meta pages, the newer of which names two trees: that of the free pages,
 * and that of the tables, each of which is a tree again.
 */
import { Effect } from "effect"
import * as fs from "node:fs"

/** A file that LMDB did not write, or of which a page is damaged. */
export class Unreadable extends Error {}

/**
 * Looks at every page that is in use: each is where it says that it is, of the kind that it has to be, in one place of one
 * tree, with keys in order, and not free. Fails with {@link Unreadable} otherwise, and with what the system says when the
 * file cannot be read. What is in the values is not looked at. An empty file is a new one.
 *
 * It reads as many bytes as the file has, in slices that let others have their turn.
 */
export const check = (file: string, pageSize: number): Effect.Effect<void, unknown> =>
  Effect.acquireUseRelease(
    Effect.try({ try: () => fs.openSync(file, "r"), catch: (cause) => cause }),
    (descriptor) =>
      Effect.gen(function* () {
        const slices = look(descriptor, pageSize)
        const slice = Effect.try({
          try: () => slices.next().done === true,
          // Who follows what a damaged page says comes to places that are none.
          catch: (cause) => (cause instanceof RangeError ? new Unreadable("a page names what is not on it") : cause)
        })
        while (!(yield* slice)) yield* Effect.yieldNow
      }),
    (descriptor) => Effect.sync(() => fs.closeSync(descriptor))
  )

// ---------------------------------------------------------------------------------------------------------------------

const headBytes = 24
const treeBytes = 48
const branchFlag = 0x01
const leafFlag = 0x02
const overflowFlag = 0x04
const metaFlag = 0x08
const magic = 0xbeefc0de
/** Of an environment: it is mapped at the address that it names. */
const isFixed = 0x01
/** Of nodes: the value is on pages of its own; it is the root of a tree. */
const isBig = 0x01
const isTree = 0x02
/** No page: the root of an empty tree. */
const none = 0xffff_ffff_ffff_ffffn

const damaged = (page: number, how: string): Unreadable => new Unreadable(`page ${page} ${how}`)

/** The work of {@link check}, which yields after each slice. */
function* look(descriptor: number, pageSize: number): Generator<void, void> {
  const { size } = fs.fstatSync(descriptor)
  if (size === 0) return
  const { last, roots } = rootsOf(descriptor, pageSize)
  const used = new Uint8Array(Math.floor(size / pageSize)).fill(1, 0, 2)
  const take = (first: number, count: number): void => {
    if (!(first >= 0 && count >= 1 && first + count <= last + 1)) throw damaged(first, "is none")
    // What is free at the end of the file need not be there.
    for (let page = first; page < Math.min(first + count, used.length); page++) {
      if (used[page] !== 0) throw damaged(page, "is used twice")
      used[page] = 1
    }
  }
  const pages = { pageSize, take, read: reader(descriptor, size, pageSize) }
  const [free, named] = roots
  const tables: Array<Buffer> = []
  yield* walk(pages, named, Buffer.compare, (value, flags) => {
    if (flags !== isTree || value.length !== treeBytes) throw new Unreadable("the name of a table is damaged")
    tables.push(value)
  })
  for (const table of tables)
    yield* walk(pages, table, Buffer.compare, (_, flags) => {
      if (flags !== 0 && flags !== isBig) throw new Unreadable("a value is damaged")
    })
  const lists: Array<Buffer> = []
  yield* walk(pages, free, compareNumbers, (value) => void lists.push(value))
  // By now all that is in use is known.
  for (const list of lists) for (const [first, count] of freeIn(list)) take(first, count)
}

/** What the newer of the two meta pages says: the last page, and the roots of the two trees. */
const rootsOf = (descriptor: number, pageSize: number) => {
  const both = Buffer.alloc(2 * pageSize)
  if (fs.readSync(descriptor, both, 0, both.length, 0) < both.length) throw new Unreadable("it is no file of LMDB")
  const [one, two] = [both.subarray(0, pageSize), both.subarray(pageSize)]
  for (const page of [one, two]) {
    if (page.readUInt16LE(18) !== metaFlag || page.readUInt32LE(24) !== magic)
      throw new Unreadable("it is no file of LMDB")
    const [version, size, flags] = [page.readUInt32LE(28), page.readUInt32LE(48), page.readUInt16LE(52)]
    if (version !== one.readUInt32LE(28) || size !== pageSize || (flags & isFixed) !== 0)
      throw new Unreadable("its two beginnings do not fit")
  }
  const newest = one.readBigUInt64LE(152) < two.readBigUInt64LE(152) ? two : one
  const last = Number(newest.readBigUInt64LE(144))
  if (!(last >= 1 && last < 2 ** 48)) throw new Unreadable("it does not say how long it is")
  return { last, roots: [newest.subarray(48, 96), newest.subarray(96, 144)] as const }
}

/** Reads pages, several at once: most follow one another. */
const reader = (descriptor: number, size: number, pageSize: number) => {
  const chunk = Buffer.allocUnsafe(64 * pageSize)
  let from = -1
  let length = 0
  return (page: number): Buffer => {
    const at = page * pageSize
    if (at + pageSize > size) throw damaged(page, "is not there")
    if (from < 0 || at < from || at + pageSize > from + length) {
      from = at
      length = fs.readSync(descriptor, chunk, 0, Math.min(chunk.length, size - at), at)
      if (length < pageSize) throw damaged(page, "cannot be read")
    }
    return chunk.subarray(at - from, at - from + pageSize)
  }
}

interface Pages {
  readonly pageSize: number
  readonly read: (page: number) => Buffer
  /** Notes that pages are used; fails where one is already. */
  readonly take: (first: number, count: number) => void
}

/** How many pages are looked at in one slice. */
const slicePages = 64

/** Goes through a tree by its root, and calls `onValue` for each value in it, in the order of the keys. */
function* walk(
  { pageSize, read, take }: Pages,
  root: Buffer,
  compare: (a: Buffer, b: Buffer) => number,
  onValue: (value: Buffer, flags: number) => void
): Generator<void, void> {
  const depth = root.readUInt16LE(6)
  const counts = { branches: 0, leaves: 0, overflow: 0, entries: 0 }
  let before: Buffer | undefined
  let seen = 0

  const bigValue = (node: Buffer, bytes: number): Buffer => {
    const [first, count] = [number(node, 0), number(node, 16)]
    if (count !== Math.floor((headBytes - 1 + bytes) / pageSize) + 1) throw damaged(first, "has another length")
    take(first, count)
    counts.overflow += count
    const parts: Array<Buffer> = []
    for (let page = first; page < first + count; page++) parts.push(Buffer.from(read(page)))
    const value = Buffer.concat(parts)
    if (number(value, 0) !== first || value.readUInt16LE(18) !== overflowFlag || value.readUInt32LE(20) !== count)
      throw damaged(first, "is not what it has to be")
    return value.subarray(headBytes, headBytes + bytes)
  }

  function* visit(at: number, level: number): Generator<void, void> {
    take(at, 1)
    if (++seen % slicePages === 0) yield
    const isLeaf = level === depth
    const page = Buffer.from(read(at))
    const [lower, upper] = [page.readUInt16LE(20), page.readUInt16LE(22)]
    if (number(page, 0) !== at || page.readUInt16LE(18) !== (isLeaf ? leafFlag : branchFlag))
      throw damaged(at, "is not what it has to be")
    if (lower % 2 !== 0 || lower < 2 || lower > upper || upper > pageSize - headBytes)
      throw damaged(at, "does not say what is on it")
    counts[isLeaf ? "leaves" : "branches"]++
    const nodes = Array.from({ length: lower / 2 }, (_, i) => {
      const start = headBytes + page.readUInt16LE(headBytes + 2 * i)
      if (start < headBytes + upper || start + 8 > pageSize) throw damaged(at, "has a node beyond itself")
      const bytes = page.readUInt32LE(start)
      const flags = page.readUInt16LE(start + 4)
      const key = start + 8
      const value = key + page.readUInt16LE(start + 6)
      const end = value + (isLeaf ? ((flags & isBig) === 0 ? bytes : headBytes) : 0)
      if (end > pageSize) throw damaged(at, "has a node beyond itself")
      return { key: page.subarray(key, value), node: page.subarray(value, end), bytes, flags }
    })
    for (const [i, { bytes, flags, key, node }] of nodes.entries()) {
      // The first key of a branch stands for all that is smaller, and the first one of a leaf may be that of its branch.
      if (isLeaf || i > 0) {
        if (before !== undefined && compare(before, key) >= (isLeaf && i === 0 ? 1 : 0))
          throw damaged(at, "has keys that are not in order")
        before = Buffer.from(key)
      }
      if (isLeaf) {
        counts.entries++
        onValue((flags & isBig) === 0 ? node : bigValue(Buffer.from(node), bytes), flags)
      } else yield* visit(bytes + flags * 2 ** 32, level + 1)
    }
  }

  if (root.readBigUInt64LE(40) !== none) yield* visit(number(root, 40), 1)
  else if (depth !== 0) throw new Unreadable("an empty tree has a depth")
  const said = [8, 16, 24, 32].map((at) => number(root, at))
  const found = [counts.branches, counts.leaves, counts.overflow, counts.entries]
  if (said.some((count, i) => count !== found[i])) throw new Unreadable("a tree does not have what it says")
}

/** The pages in a list of free ones: their count, then pages, or ranges as their negative length and their first page. */
const freeIn = (list: Buffer): ReadonlyArray<readonly [first: number, count: number]> => {
  const found: Array<readonly [number, number]> = []
  const length = list.length / 8
  if (!Number.isInteger(length) || length < 1 || number(list, 0) > length - 1)
    throw new Unreadable("a list of free pages is damaged")
  for (let i = 1; i <= number(list, 0); i++) {
    const entry = Number(list.readBigInt64LE(8 * i))
    if (entry === 0) continue
    if (entry > 0) found.push([entry, 1])
    else if (i === number(list, 0)) throw new Unreadable("a list of free pages is damaged")
    else found.push([number(list, 8 * ++i), -entry])
  }
  return found
}

const number = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64LE(at))

const compareNumbers = (a: Buffer, b: Buffer): number => {
  const [one, two] = [a.readBigUInt64LE(0), b.readBigUInt64LE(0)]
  return one < two ? -1 : one > two ? 1 : 0
}
