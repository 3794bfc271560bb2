/**
 * Reads of records, one by one and in pages.
 */
import { unexpected } from "./Answers.ts"
import { type Answered, bytesOf, jsonOf } from "./Body.ts"
import type { Call, CallOptions, Calls } from "./Calls.ts"
import { invalid } from "./ClientError.ts"
import * as Gathering from "./Gathering.ts"
import { RecordNotFound, StoreFailed, WriteReplaced } from "./QuorumError.ts"
import * as ReadGroup from "./ReadGroup.ts"
import { ofJson, type Page, type Place, QuorumRecord } from "./Record.ts"
import * as Waiting from "./Waiting.ts"

/** Makes what is asked for, unless the client is closed. */
export type Taken = <A>(make: () => Promise<A>) => Promise<A>

/** How a record is read. */
export interface GetOptions extends CallOptions {
  /**
   * Whom to ask. `local`, unless given: one replica, once it holds all that this client has done and seen. `quorum`:
   * the newest that `r` replicas hold. `linearizable`: what everybody was ever told, and a majority holds.
   */
  readonly consistency?: "local" | "quorum" | "linearizable"
  /** How many replicas a `quorum` read asks: a majority unless given. */
  readonly r?: number
  /** The id of a write, as another client was told it, that the answer has to show, or a newer one. */
  readonly atLeast?: string
}

/** What of a namespace is listed. */
export interface ListOptions extends CallOptions {
  /** Only keys that begin so. */
  readonly prefix?: string
  /** From the last key to the first. */
  readonly reverse?: boolean
  /** How many records a request fetches: 100 unless given, 1000 at most. `timeoutMillis` is that of each request. */
  readonly pageSize?: number
}

/** Reads. What was taken makes all its calls, also while the client is closing. */
export const make = (calls: Calls, taken: Taken, timeoutMillis: number) => {
  const together = Gathering.make<ReadGroup.Waiting>()
  /** Until when nobody is asked for many reads in one request, by `performance.now()`. */
  let aloneUntil = Number.NEGATIVE_INFINITY

  /** Reads after all that was done and seen. When some of that is no write any more, what was seen is begun anew. */
  const read = async <A>(asked: Call<A>, options: CallOptions = {}, atLeast?: string): Promise<A> => {
    try {
      return await calls.call(asked, options)
    } catch (error) {
      if (!(error instanceof WriteReplaced) || error.writeId === atLeast) throw error
      calls.forget()
      return await calls.call(asked, options)
    }
  }

  const getAlone = async (place: Place, options: GetOptions, onFailed: () => void = () => {}) => {
    const { atLeast, consistency, r, ...call } = options
    try {
      return await read(
        {
          request: () => ({ method: "GET", path: pathOf(place), query: { atLeast, consistency, r } }),
          read: (answered, url) => recordOf(answered, place, url),
          onFailed
        },
        call,
        atLeast
      )
    } catch (error) {
      if (error instanceof RecordNotFound) return undefined
      throw error
    }
  }

  /** Sends a read with those that ask for the same and have the same time. */
  const gather = (place: Place, options: GetOptions): Promise<QuorumRecord | undefined> => {
    const { signal, timeoutMillis: millis = timeoutMillis, ...query } = options
    signal?.throwIfAborted()
    const kind = () => ReadGroup.kindOf(read, query, alone(query), onRefused)
    return new Promise((resolve, reject) => {
      const limits = { signal, deadline: performance.now() + millis }
      together(`${query.consistency} ${query.r} ${millis}`, kind, Waiting.make({ place }, limits, { resolve, reject }))
    })
  }

  const alone =
    (query: GetOptions): ReadGroup.Alone =>
    (one, onFailed) =>
      getAlone(one.place, { ...query, ...Waiting.limitsOf([one])() }, onFailed).then(one.resolve, one.reject)

  const onRefused = (): void => {
    aloneUntil = performance.now() + aloneMillis
  }

  const get = (namespace: string, key: string, options: GetOptions = {}): Promise<QuorumRecord | undefined> =>
    taken(() => {
      const place = placeOf(namespace, key)
      const isAlone = options.atLeast !== undefined || performance.now() < aloneUntil
      return isAlone ? getAlone(place, options) : gather(place, options)
    })

  /** The pages of a list, whoever answers them: a page says by names where it ends. */
  const pages = async function* (path: string, options: ListOptions): AsyncGenerator<Page, void> {
    const { pageSize: limit, prefix, reverse, ...call } = options
    let after: string | undefined
    do {
      const query = { prefix, reverse, limit, after }
      const page: Page = await taken(() =>
        read({ request: () => ({ method: "GET", path, query }), read: pageOf }, call)
      )
      yield page
      after = page.next
    } while (after !== undefined)
  }

  const list = async function* (namespace: string, options: ListOptions = {}): AsyncGenerator<QuorumRecord, void> {
    const { prefix: _, pageSize: __, reverse = false, ...call } = options
    for await (const { damaged = [], records = [] } of pages(
      `/v1/records/${nameOf("namespace", namespace)}`,
      options
    )) {
      const page = records.map(ofJson)
      for (const { key } of damaged) {
        // What one replica cannot read, others can.
        const record = await get(namespace, key, { ...call, consistency: "quorum" })
        if (record !== undefined) page.push(record)
      }
      if (damaged.length > 0) page.sort((a, b) => (isBefore(a.key, b.key) === reverse ? 1 : -1))
      for (const record of page) {
        options.signal?.throwIfAborted()
        yield record
      }
    }
  }

  const keys = async function* (namespace: string, options: ListOptions = {}): AsyncGenerator<string, void> {
    for await (const { keys = [] } of pages(`/v1/keys/${nameOf("namespace", namespace)}`, options)) {
      for (const { key } of keys) {
        options.signal?.throwIfAborted()
        yield key
      }
    }
  }

  return { get, list, keys }
}

/** The place of a record, if both are names that may stand in a path. */
export const placeOf = (namespace: string, key: string): Place => {
  nameOf("namespace", namespace)
  nameOf("key", key)
  return { namespace, key }
}

/** The path of a record. */
export const pathOf = ({ key, namespace }: Place): string =>
  `/v1/records/${encodeURIComponent(namespace)}/${encodeURIComponent(key)}`

// ---------------------------------------------------------------------------------------------------------------------

/** For how long reads do not share requests, once that was refused, in milliseconds. */
const aloneMillis = 60_000

/** A name, as it stands in a path. Throws `InvalidRequest` for what cannot. */
export const nameOf = (field: string, name: string): string => {
  if (typeof name !== "string") throw invalid(field, "it is text")
  if (name === "") throw invalid(field, "it is empty")
  // No url can say them, however they are written.
  if (name === "." || name === "..") throw invalid(field, "`.` and `..` cannot be part of a path; choose another name")
  try {
    return encodeURIComponent(name)
  } catch {
    throw invalid(field, "it has half a surrogate pair, which is no text")
  }
}

/** The record that an answer is. A replica says of which write it is; a page that something else answers does not. */
const recordOf = async (answered: Answered, place: Place, url: string): Promise<QuorumRecord> => {
  const writeId = answered.headers.get("quorum-write-id")
  if (writeId === null) throw unexpected(answered.status, url, "it does not say of which write it is")
  return new QuorumRecord({
    ...place,
    bytes: await bytesOf(answered, url),
    contentType: answered.headers.get("content-type") ?? undefined,
    writeId
  })
}

/** A page on which nothing may be missing: another replica may know what is at the places that this one cannot read. */
const pageOf = async (answered: Answered, url: string): Promise<Page> => {
  const page = ((await jsonOf(answered, url)) ?? {}) as { readonly [Field in keyof Page]?: unknown }
  const isPage = Array.isArray(page.unreadable) && Array.isArray(page.records ?? page.keys)
  if (!isPage) throw unexpected(answered.status, url, "it is no page")
  if ((page as Page).unreadable.length === 0) return page as Page
  const message = `${url} has entries that it cannot read, and which may be of any record`
  throw new StoreFailed({ message, reason: "corrupt", url })
}

/** Keys are in the order of their bytes, which is that of their code points. */
const isBefore = (a: string, b: string): boolean => {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    if (left[i] !== right[i]) return left[i]!.codePointAt(0)! < right[i]!.codePointAt(0)!
  }
  return left.length < right.length
}
