/**
 * The client: what can be asked of a replica set, as promises.
 */
import * as Calls from "./Calls.ts"
import { readReceipt } from "./Attempt.ts"
import { unexpected } from "./Answers.ts"
import { type Answered, jsonOf } from "./Body.ts"
import { ClientClosed, invalid } from "./ClientError.ts"
import * as Known from "./Known.ts"
import { type ClientOptions, settingsOf } from "./Options.ts"
import { QuorumError } from "./QuorumError.ts"
import * as Reads from "./Reads.ts"
import type { Change, Place, QuorumRecord, Receipt, Verification, WriteStatus } from "./Record.ts"
import type { Value } from "./Value.ts"
import * as Watch from "./Watch.ts"
import type { WatchOptions } from "./Watch.ts"
import * as Writes from "./Writes.ts"

/** The state of a replica, as it says itself; the API's document has all fields. */
export interface ReplicaStatus {
  readonly url: string
  /** What it answered; none when it did not. */
  readonly status?: {
    readonly identity: { readonly cluster: string; readonly replica: string; readonly incarnation: string }
    readonly voting: boolean
    readonly recovered: boolean
    readonly peers: ReadonlyArray<{ readonly replica: string; readonly link: string; readonly lag: number }>
    readonly [field: string]: unknown
  }
  /** Why it did not. */
  readonly error?: unknown
}

/** A client of a replica set. All that fails, fails with a `QuorumError`, or with the reason of the signal. */
export interface QuorumClient {
  /**
   * Writes a record, and answers when W replicas hold it durably. It is one write, at however many replicas it has to be
   * tried. Writes that are called at about the same time share a request; of values above 64 KiB, which have one each, 4 MiB
   * are sent at once, and the others wait in their order, within the time of their calls.
   */
  readonly put: (namespace: string, key: string, value: Value, options?: Writes.WriteOptions) => Promise<Receipt>
  /**
   * Reads a record: `undefined` when there is none. It is never older than what this client has written to it. Reads that
   * are called at about the same time share a request.
   */
  readonly get: (namespace: string, key: string, options?: Reads.GetOptions) => Promise<QuorumRecord | undefined>
  /** Deletes a record: a write like any other, whether the record is there or not. */
  readonly delete: (
    namespace: string,
    key: string,
    options?: Omit<Writes.WriteOptions, "contentType">
  ) => Promise<Receipt>
  /** The records of a namespace in the order of their keys, page after page as they are taken. */
  readonly list: (namespace: string, options?: Reads.ListOptions) => AsyncGenerator<QuorumRecord, void>
  /** The keys of a namespace, without their values. */
  readonly keys: (namespace: string, options?: Reads.ListOptions) => AsyncGenerator<string, void>
  /**
   * Follows what is written to a namespace: all writes since a position, each at least once, and then those to come, until
   * it is left or its signal is aborted. It goes on at another replica by itself.
   */
  readonly watch: (namespace: string, options?: WatchOptions) => AsyncGenerator<Change, void>
  /** Makes many writes, and answers for each by itself, in their order. */
  readonly batch: (
    writes: ReadonlyArray<Writes.Write>,
    options?: Omit<Writes.WriteOptions, "contentType" | "stamp">
  ) => Promise<ReadonlyArray<Writes.BatchResult>>
  /** Makes several writes one: they are of different keys, and every replica holds all of them or none. */
  readonly commit: (
    writes: ReadonlyArray<Writes.Write>,
    options?: Omit<Writes.WriteOptions, "contentType">
  ) => Promise<Receipt>
  /**
   * Draws a stamp for a write of these keys, which may then be made with `{ stamp }` any number of times within a day, also
   * by another program. Who keeps it before the write knows after any crash how to go on.
   */
  readonly stamp: (keys: ReadonlyArray<Place>, options?: Calls.CallOptions) => Promise<string>
  /** Waits for the quorum of an earlier write, or until `w` replicas hold it. */
  readonly resume: (writeId: string, options?: Calls.CallOptions & { readonly w?: number }) => Promise<Receipt>
  /** What is known of an earlier write. */
  readonly writeStatus: (writeId: string, options?: Calls.CallOptions) => Promise<WriteStatus>
  /** Asks all replicas of today for their copies of a write. */
  readonly verify: (receipt: Receipt, options?: Calls.CallOptions) => Promise<Verification>
  /** The state of every replica, in the order of the urls. */
  readonly status: (options?: Calls.CallOptions) => Promise<ReadonlyArray<ReplicaStatus>>
  /** Takes nothing more, and waits until every call is answered. Who watches is told so by `ClientClosed`. */
  readonly close: () => Promise<void>
}

/** Makes a client. Throws `InvalidOptions`. No request is made before the first call. */
export const createClient = (options: ClientOptions): QuorumClient => {
  const settings = settingsOf(options)
  const underWay = new Set<Promise<unknown>>()
  const closing = new AbortController()

  /** Makes what is asked for while the client is open; who closes it waits for that, however many requests it takes. */
  const taken: Reads.Taken = async (make) => {
    if (closing.signal.aborted) throw new ClientClosed({ message: "the client is closed" })
    const answer = make()
    underWay.add(answer)
    try {
      return await answer
    } finally {
      underWay.delete(answer)
    }
  }
  const guarded = (calls: Calls.Calls): Calls.Calls => ({
    call: (call, options) => taken(() => calls.call(call, options)),
    forget: calls.forget
  })
  const calls = Calls.make(settings)
  const open = guarded(calls)
  const reads = Reads.make(calls, taken, settings.timeoutMillis)
  const writes = Writes.make(calls, taken, settings.timeoutMillis)
  /** Asks for an object that has a field; nothing else that is answered is that (law L11). */
  const object = <A extends object>(method: "GET" | "POST", path: string, field: keyof A & string, body?: string) => ({
    request: () => ({ method, path, ...(body === undefined ? {} : { body }) }),
    read: async (answered: Answered, url: string): Promise<A> => {
      const json = await jsonOf(answered, url)
      if (typeof json === "object" && json !== null && field in json) return json as A
      throw unexpected(answered.status, url, `it has no ${field}`)
    }
  })

  return Known.checked({
    ...reads,
    ...writes,
    watch: Watch.make(open, closing.signal),
    resume: async (writeId, { w, ...options } = {}) =>
      open.call(
        { request: () => ({ method: "POST", path: `${writePath(writeId)}/resume`, query: { w } }), read: readReceipt },
        options
      ),
    writeStatus: async (writeId, options) =>
      open.call(object<WriteStatus>("GET", writePath(writeId), "committed"), options),
    verify: async (receipt, options) =>
      open.call(object<Verification>("POST", "/v1/receipts/verify", "committed", receiptText(receipt)), options),
    status: (options) =>
      Promise.all(
        settings.urls.map(async (url): Promise<ReplicaStatus> => {
          const one = guarded(Calls.make({ ...settings, urls: [url] }))
          const timeoutMillis = Math.min(options?.timeoutMillis ?? settings.timeoutMillis, settings.attemptMillis)
          try {
            const asked = object<NonNullable<ReplicaStatus["status"]>>("GET", "/v1/status", "identity")
            return { url, status: await one.call(asked, { ...options, timeoutMillis }) }
          } catch (error) {
            const isGivenUp = options?.signal?.aborted === true
            if (isGivenUp || !(error instanceof QuorumError) || error instanceof ClientClosed) throw error
            return { url, error }
          }
        })
      ),
    close: async () => {
      closing.abort(new ClientClosed({ message: "the client is closed" }))
      await Promise.allSettled(underWay)
    }
  })
}

// ---------------------------------------------------------------------------------------------------------------------

const receiptText = (receipt: Receipt): string => {
  try {
    return JSON.stringify(receipt)
  } catch {
    throw invalid("receipt", "it is a receipt, as it was answered")
  }
}

const writePath = (writeId: string): string => `/v1/writes/${Reads.nameOf("writeId", writeId)}`
