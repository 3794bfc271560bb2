// What `fuzz` sends, each input from a seed and its number alone: valid requests and frames, and what becomes of them when
// bytes are changed, lost, doubled and exchanged.

/** Numbers from 0 to 1, from one number (mulberry32). */
export const dice = (seed) => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const below = (limit) => Math.floor(next() * limit)
  return { next, below, of: (list) => list[below(list.length)], chance: (share) => next() < share }
}

/** The dice of one input. */
export const diceOf = (seed, number) =>
  dice(Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35))

const edges = [0, 1, 0x0a, 0x0d, 0x20, 0x22, 0x2f, 0x3a, 0x7b, 0x7f, 0x80, 0xc0, 0xc1, 0xc3, 0xfe, 0xff]
const words = [0, 1, 0xff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]

/** Bytes with a few things wrong, or none. `others` are bytes of which pieces are taken. */
export const mutated = (bytes, roll, others = []) => {
  let out = Buffer.from(bytes)
  for (let times = roll.below(4); times > 0 && out.length > 0; times--) {
    const at = roll.below(out.length)
    const to = Math.min(out.length, at + 1 + roll.below(40))
    switch (roll.below(8)) {
      case 0:
        out[at] ^= 1 << roll.below(8)
        break
      case 1:
        out[at] = roll.of(edges)
        break
      case 2:
        if (at + 4 <= out.length) out.writeUInt32BE(roll.of(words), at)
        break
      case 3:
        out = out.subarray(0, at)
        break
      case 4:
        out = Buffer.concat([out.subarray(0, to), out.subarray(at, to), out.subarray(to)])
        break
      case 5:
        out = Buffer.concat([out.subarray(0, at), out.subarray(to)])
        break
      case 6:
        out = Buffer.concat([out.subarray(0, at), Buffer.from([roll.of(edges), roll.of(edges)]), out.subarray(at)])
        break
      default: {
        const other = others.length === 0 ? out : Buffer.from(roll.of(others))
        const from = roll.below(other.length + 1)
        out = Buffer.concat([out.subarray(0, at), other.subarray(from, from + roll.below(60)), out.subarray(to)])
      }
    }
  }
  return out
}

const names = [
  "n",
  "notes",
  "k",
  "a/b",
  "%2F",
  "%00",
  "%",
  "%zz",
  "..",
  ".",
  "é",
  "😀",
  "\u0000",
  " ",
  "",
  "x".repeat(300),
  "constructor"
]
const values = [
  ...names,
  "0",
  "-1",
  "1",
  "1.5",
  "1e99",
  "99999999999999999999",
  "true",
  "null",
  "[]",
  "{}",
  "a@0:1",
  "local",
  "quorum"
]

/** A value of JSON of some depth. */
const json = (roll, depth = 0) => {
  switch (roll.below(depth > 3 ? 4 : 6)) {
    case 0:
      return roll.of(values)
    case 1:
      return roll.of([0, -1, 1, 1.5, 1e308, Number.MAX_SAFE_INTEGER, 2 ** 53])
    case 2:
      return roll.of([null, true, false])
    case 3:
      return roll.of([{}, []])
    case 4:
      return Array.from({ length: roll.below(4) }, () => json(roll, depth + 1))
    default:
      return Object.fromEntries(Array.from({ length: roll.below(4) }, () => [roll.of(fields), json(roll, depth + 1)]))
  }
}

const fields = [
  "namespace",
  "key",
  "value",
  "writes",
  "stamp",
  "keys",
  "delete",
  "w",
  "after",
  "limit",
  "writeId",
  "log",
  "seq",
  "clock",
  "tie",
  "policy",
  "acked",
  "missing",
  "receipt",
  "json",
  "contentType",
  "__proto__"
]
const types = [
  "application/json",
  "text/plain",
  "application/octet-stream",
  "application/x-ndjson",
  "x",
  "application/vnd.quorum.peer-frame",
  "multipart/form-data; boundary=x"
]

/** JSON that is much to take apart for its length, by itself or where JSON of any kind may stand. */
const costly = (roll) => {
  const count = roll.of([63, 65, 1000, 20_000])
  const json = roll.of([
    "[".repeat(count) + "]".repeat(count),
    '{"a":'.repeat(count),
    `[${"{},".repeat(count)}1]`,
    `{${Array.from({ length: count }, (_, i) => `"${i}":1`).join(",")}}`
  ])
  return roll.of([json, `{"namespace":"n","key":"k","json":${json}}`, `{"keys":${json}}`])
}

/** A body that fits some route, or none. */
const bodyOf = (roll) => {
  const write = () => ({ namespace: roll.of(["n", "m"]), key: `k${roll.below(50)}`, value: "v".repeat(roll.below(50)) })
  switch (roll.below(8)) {
    case 0:
      return JSON.stringify({ writes: Array.from({ length: roll.below(5) }, write) })
    case 1:
      return Array.from({ length: roll.below(6) }, () => JSON.stringify(write())).join("\n")
    case 2:
      return JSON.stringify({ keys: [write()] })
    case 3:
      return JSON.stringify(json(roll))
    case 4:
      return "x".repeat(roll.of([0, 1, 100, 5000]))
    case 5:
      return costly(roll)
    case 6:
      return Array.from({ length: roll.below(100) }, () =>
        JSON.stringify({ namespace: "n", key: `k${roll.below(50)}` })
      ).join("\n")
    default:
      return ""
  }
}

/** A request of HTTP as bytes, to one of these routes (`{ method, path }` of the OpenAPI document). */
export const request = (roll, routes) => {
  const { method, path, query } = roll.of(routes)
  const filled = path.replaceAll(/\{[^}]+\}/g, () =>
    roll.chance(0.7) ? `k${roll.below(50)}` : encoded(roll.of(names), roll)
  )
  const asked = query.filter(() => roll.chance(0.4)).map((name) => `${name}=${encoded(roll.of(values), roll)}`)
  if (roll.chance(0.05)) asked.push(`${roll.of(fields)}=${encoded(roll.of(values), roll)}`)
  const target = asked.length === 0 ? filled : `${filled}?${asked.join("&")}`
  const by = roll.chance(0.9)
    ? method.toUpperCase()
    : roll.of(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"])
  const body = by === "GET" || by === "HEAD" ? "" : bodyOf(roll)
  const head = [`${by} ${target.replaceAll(/\s|\p{Cc}/gu, "%20")} HTTP/1.1`, "host: localhost"]
  const type =
    (path === "/v1/batch" || path === "/v1/reads") && roll.chance(0.6) ? "application/x-ndjson" : roll.of(types)
  if (body !== "") head.push(`content-type: ${type}`, `content-length: ${Buffer.byteLength(body)}`)
  if (roll.chance(0.1))
    head.push(
      `${roll.of(["idempotency-key", "quorum-session", "authorization", "if-match", "range", "expect", "accept-encoding", "last-event-id", "origin"])}: ${roll.of(["x", "a@0:1", "Bearer x", "100-continue", "gzip", "*", "https://evil.example"])}`
    )
  const bytes = Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`)
  return roll.chance(0.3) ? mutated(bytes, roll) : bytes
}

const encoded = (text, roll) => (roll.chance(0.8) ? encodeURIComponent(text) : text)
