/**
 * A replica within a program that uses promises: the same composition as `quorum serve`, without a process of its own.
 *
 * What is answered and what fails are the types and the classes of `@quorum/client`, so that a program may move from the one
 * to the other.
 */
import {
  type BatchResult,
  type CallOptions,
  type Change,
  type GetOptions,
  OutcomeUnknown,
  type QuorumRecord,
  type Receipt as ClientReceipt,
  ReplicaClosing,
  TimedOut,
  type Value,
  type Verification,
  type WatchOptions,
  type Write,
  type WriteOptions,
  type WriteStatus
} from "@quorum/client"
import { Entry, QuorumWriter, Receipt, Records, ReplicaStatus, StampToken, WriteId } from "@quorum/core"
import {
  type Cause,
  Effect,
  Layer,
  Logger,
  ManagedRuntime,
  Option,
  Predicate,
  Redacted,
  References,
  Result,
  Schema
} from "effect"
import { HttpServer } from "effect/http"
import * as ServerConfig from "./ServerConfig.ts"
import * as ReplicaPages from "./ReplicaPages.ts"
import * as ReplicaWatch from "./ReplicaWatch.ts"
import * as Server from "./Server.ts"
import { checked, invalid } from "./KnownOptions.ts"
import { errorOf } from "./PromiseErrors.ts"
import type { Run } from "./ReplicaWatch.ts"
import * as PromiseWrites from "./PromiseWrites.ts"
import { flagOf, names } from "./config/settings.ts"
import * as UnderWay from "./tools/UnderWay.ts"

/** How a replica is opened: the settings of `quorum serve`, with `folder` where its files are. */
export interface ReplicaOptions extends Omit<ServerConfig.Settings, "data"> {
  /** Which replica this is: one of the names in `peers`. */
  readonly id: string
  /** Where it keeps its files; it belongs to one process at a time. */
  readonly folder: string
  /** The secret of the peers, instead of a `secretFile`. */
  readonly secret?: string
  /** Says nothing on standard error, where warnings go otherwise. */
  readonly quiet?: boolean
}

/** Which records, in the order of their keys. */
export interface ListOptions {
  readonly prefix?: string
  /** From the last key to the first. */
  readonly reverse?: boolean
  readonly signal?: AbortSignal
}

/** An open replica. What fails, fails with a `QuorumError` of `@quorum/client`, which has a `code`, or the reason of the signal. */
export interface OpenReplica extends AsyncDisposable {
  readonly id: string
  /** Where it answers its peers and clients. */
  readonly url: string
  /** Writes a record; answered when W replicas hold it durably. */
  readonly put: (namespace: string, key: string, value: Value, options?: WriteOptions) => Promise<ClientReceipt>
  /** Reads a record; undefined when there is none. This replica's own writes are seen at once. */
  readonly get: (namespace: string, key: string, options?: GetOptions) => Promise<QuorumRecord | undefined>
  /** Deletes a record, whether it is there or not. */
  readonly delete: (
    namespace: string,
    key: string,
    options?: Omit<WriteOptions, "contentType">
  ) => Promise<ClientReceipt>
  /** The records of a namespace as this replica holds them, read as they are taken. */
  readonly list: (namespace: string, options?: ListOptions) => AsyncGenerator<QuorumRecord, void>
  /** The keys of a namespace, without their values. */
  readonly keys: (namespace: string, options?: ListOptions) => AsyncGenerator<string, void>
  /**
   * Follows what is written to a namespace: all that this replica holds durably since a position, and then what comes, each
   * write at least once, until it is left or its signal is aborted. `ReplicaClosing` ends it when the replica is closed.
   */
  readonly watch: (namespace: string, options?: WatchOptions) => AsyncGenerator<Change, void>
  /** Makes many writes, and answers for each by itself, in their order. */
  readonly batch: (
    writes: ReadonlyArray<Write>,
    options?: Omit<WriteOptions, "contentType" | "stamp">
  ) => Promise<ReadonlyArray<BatchResult>>
  /** Several writes of different keys that are one: held whole or not at all. */
  readonly commit: (writes: ReadonlyArray<Write>, options?: Omit<WriteOptions, "contentType">) => Promise<ClientReceipt>
  /** Draws a stamp for a write of these keys, which may then be made any number of times. */
  readonly stamp: (
    keys: ReadonlyArray<{ readonly namespace: string; readonly key: string }>,
    options?: CallOptions
  ) => Promise<string>
  /** Waits for the quorum of an earlier write, or until `w` replicas hold it. */
  readonly resume: (writeId: string, options?: CallOptions & { readonly w?: number }) => Promise<ClientReceipt>
  /** What is known here of an earlier write. */
  readonly writeStatus: (writeId: string, options?: CallOptions) => Promise<WriteStatus>
  /** Asks the replicas of today for their copies. */
  readonly verify: (receipt: ClientReceipt, options?: CallOptions) => Promise<Verification>
  /** The state of this replica, as `GET /v1/status` answers it. */
  readonly status: () => typeof ReplicaStatus.Status.Encoded
  /** Takes nothing more, waits until what was taken is answered, and closes the files. May be called again. */
  readonly close: () => Promise<void>
}

/**
 * Opens a replica; resolved when it listens. The other replicas need not run yet: writes fail until a majority does, and
 * `status()` says what it waits for. Rejects with `ServerConfig.InvalidConfig`, `Server.Unusable` or `Server.NotStarted`,
 * which have a `code`.
 */
export const openReplica = async (options: ReplicaOptions): Promise<OpenReplica> => {
  const { folder, quiet, secret, ...settings } = { ...options }
  const [problem, ...more] = ownProblems(secret, settings)
  if (problem !== undefined) throw new ServerConfig.InvalidConfig({ problems: [problem, ...more] })
  const object = { settings: { ...settings, data: folder }, place: "of openReplica" }
  const config = Result.getOrThrow(
    Result.mapError(ServerConfig.make({ object, hasSecret: secret !== undefined }), byOptions)
  )
  const layer = Server.layer(config, { secret: secret === undefined ? undefined : Redacted.make(secret) })
  const runtime = ManagedRuntime.make(Layer.provide(layer, loggerOf(config.logFormat, quiet === true)))
  try {
    return await runtime.runPromise(Effect.flatMap(parts, (parts) => Effect.succeed(make(config, runtime, parts))))
  } catch (error) {
    await runtime.dispose()
    throw isStartError(error) ? Server.explained(config, error) : error
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** What is wrong with the options that are no settings, and with the one that another stands for here. */
const ownProblems = (secret: unknown, settings: Omit<ServerConfig.Settings, "data">): ReadonlyArray<Problem> => {
  const problem = (name: string, detail: string): Problem => ({ source: `"${name}" of openReplica`, detail })
  return [
    ...(secret === undefined || typeof secret === "string" ? [] : [problem("secret", "Expected string")]),
    ...(secret === undefined || settings.secretFile === undefined
      ? []
      : [problem("secretFile", "it would do nothing: secret is given too; leave one of the two out")]),
    ...("data" in settings ? [problem("data", "there is no such setting; did you mean folder?")] : [])
  ]
}

type Problem = ServerConfig.InvalidConfig["problems"][number]

/** The problems by the names of the options, which are those of the command's flags otherwise. */
const byOptions = ({ problems: [first, ...rest] }: ServerConfig.InvalidConfig): ServerConfig.InvalidConfig => {
  const named = ({ detail, source }: typeof first): typeof first => ({
    source: source.startsWith("--") ? `"${optionOf(source)}" of openReplica` : source.replace(/^"data"/, '"folder"'),
    detail: source === "--id" || source === "--data" ? "it is missing" : detail.replaceAll(flags, optionOf)
  })
  return new ServerConfig.InvalidConfig({ problems: [named(first), ...rest.map(named)] })
}

const flags = /--[a-z]+(?:-[a-z]+)*(?: true)?/g

const optionOf = (flag: string): string => {
  if (flag === "--insecure true") return "insecure: true"
  const name = names.find((name) => flagOf(name) === flag)
  return name === "secretFile" ? "secret" : name === "data" ? "folder" : (name ?? flag)
}

const loggerOf = (format: "text" | "json", quiet: boolean) =>
  quiet
    ? Logger.layer([])
    : Layer.merge(
        Logger.layer([Logger.withConsoleError(format === "json" ? Logger.formatJson : Logger.formatLogFmt)]),
        Layer.succeed(References.MinimumLogLevel, "Warn")
      )

const isStartError = (error: unknown): error is Server.StartError => Predicate.hasProperty(error, "_tag")

const parts = Effect.all({
  writer: QuorumWriter.QuorumWriter,
  records: Records.Records,
  status: ReplicaStatus.ReplicaStatus,
  server: HttpServer.HttpServer
})

type Parts = Effect.Success<typeof parts>

const make = (
  config: ServerConfig.ServerConfig,
  runtime: { readonly dispose: () => Promise<void> },
  { records, server, status, writer }: Parts
): OpenReplica => {
  const underWay = new Set<Promise<unknown>>()
  const closing = new AbortController()
  let closed: Promise<void> | undefined

  /** Runs what is asked, and says what fails in the classes of the client. */
  const perform: Run = (effect, signal) => {
    // A fiber runs until it first waits before it hears of a signal, and what it is asked may be done by then.
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    const asked = Effect.runPromise(Effect.mapError(effect, errorOf), signal === undefined ? {} : { signal })
    const answer = asked.catch((error: unknown) => {
      throw signal?.aborted === true ? signal.reason : error
    })
    return taken(answer)
  }

  /** Is waited for by whoever closes the replica. */
  const taken = <A>(answer: Promise<A>): Promise<A> => {
    const settled: Promise<void> = answer.then(nothing, nothing).then(() => void underWay.delete(settled))
    underWay.add(settled)
    return answer
  }

  /** The same while the replica is open. */
  const run: Run = (effect, signal) => (closed === undefined ? perform(effect, signal) : Promise.reject(isClosing()))

  const commit = (writes: Entry.Writes, { signal, stamp, timeoutMillis, w }: WriteOptions = {}, by: Run = run) => {
    const given = stamp === undefined ? undefined : stampOf(stamp)
    const options = (stamp = given) => ({
      ...(w === undefined ? {} : { w }),
      ...(stamp === undefined ? {} : { stamp })
    })
    const write = (stamp = given) => Effect.map(writer.commit(writes, options(stamp)), receiptOf)
    if (timeoutMillis === undefined) return by(write(), signal)
    // Who stops waiting does not know what became of the write, and has its stamp to go on with.
    let drawn = given
    const stamped = Effect.flatMap(given === undefined ? writer.stamp(writes) : Effect.succeed(given), (stamp) =>
      write((drawn = stamp))
    )
    const ended = () => Effect.fail(drawn === undefined ? notBegun() : unknown(drawn))
    return by(Effect.catchTag(within(stamped, timeoutMillis), "TimeoutError", ended), signal)
  }

  /**
   * Each for itself: those that come at once share an append, and one that is refused keeps no other back. As many are begun
   * at once as the replica has room for, within the time of the call.
   */
  const batch = (writes: ReadonlyArray<Write>, options: WriteOptions = {}): Promise<ReadonlyArray<BatchResult>> => {
    if (!Array.isArray(writes)) throw invalid("writes", "it is a list")
    const { timeoutMillis = Number.POSITIVE_INFINITY } = options
    const deadline = performance.now() + timeoutMillis
    // What was taken is written, also while the replica is closing.
    const by = closed === undefined ? perform : run
    // The bytes are their caller's again after the call.
    const read = Array.from(writes as ReadonlyArray<Write>, (write) =>
      Result.try({ try: () => PromiseWrites.one(write), catch: (error) => error })
    )
    const committed = async (write: Entry.Write): Promise<BatchResult> => {
      const left = deadline - performance.now()
      if (left <= 0) return { ok: false, error: notBegun() }
      const limits = Number.isFinite(left) ? { ...options, timeoutMillis: left } : options
      return commit(write, limits, by).then(
        (receipt): BatchResult => ({ ok: true, receipt }),
        (error: unknown): BatchResult => ({ ok: false, error })
      )
    }
    const all = async () => {
      const made = UnderWay.make(batchWrites, batchBytes)
      const results: Array<BatchResult> = []
      for (const [i, write] of read.entries()) {
        if (Result.isFailure(write)) {
          results[i] = { ok: false, error: write.failure }
          continue
        }
        while (made.isFull()) await made.less()
        made.start(String(i), write.success.value.length, async () => {
          results[i] = await committed(write.success)
        })
      }
      await made.settled()
      return results
    }
    return taken(all())
  }

  const { keys, list } = ReplicaPages.make(records, run)

  /** Whoever follows waits for what may never come: that ends when the replica does. */
  const watch = ReplicaWatch.make(records, (effect, signal) =>
    run(effect, signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]))
  )

  const close = (): Promise<void> => {
    closing.abort(isClosing())
    closed ??= Promise.all(underWay).then(() => runtime.dispose())
    return closed
  }

  return checked({
    id: config.id,
    url: Server.urlOf(config, server.address),
    put: async (namespace, key, value, options = {}) =>
      commit(PromiseWrites.put(namespace, key, value, options.contentType), options),
    delete: async (namespace, key, options) => commit(Entry.remove(namespace, key), options),
    batch: async (writes, options) => batch(writes, options),
    commit: async (writes, options) => commit(PromiseWrites.several(writes), options),
    get: async (namespace, key, { atLeast, consistency, r, signal, timeoutMillis } = {}) => {
      for (const [field, name] of Object.entries({ namespace, key })) {
        if (typeof name !== "string") throw invalid(field, "it is text")
      }
      const options = {
        ...(atLeast === undefined ? {} : { atLeast: writeIdOf("atLeast", atLeast) }),
        ...(consistency === undefined ? {} : { consistency }),
        ...(r === undefined ? {} : { r }),
        ...(timeoutMillis === undefined ? {} : { withinMillis: timeoutMillis })
      }
      const found = await run(within(records.read(namespace, key, options), timeoutMillis), signal)
      return Option.getOrUndefined(Option.map(found, ReplicaPages.recordOf))
    },
    list,
    keys,
    watch,
    stamp: async (keys, { signal, timeoutMillis } = {}) => run(within(writer.stamp(keys), timeoutMillis), signal),
    resume: async (writeId, { signal, timeoutMillis, w } = {}) => {
      const resumed = writer.resume(writeIdOf("writeId", writeId), w === undefined ? {} : { w })
      return run(within(Effect.map(resumed, receiptOf), timeoutMillis), signal)
    },
    writeStatus: async (writeId, { signal, timeoutMillis } = {}) =>
      run(within(Effect.map(writer.status(writeIdOf("writeId", writeId)), encodeStatus), timeoutMillis), signal),
    verify: async (receipt, { signal, timeoutMillis } = {}) => {
      const read = decodeReceipt(receipt)
      if (Result.isFailure(read)) throw invalid("receipt", "it is no receipt")
      return run(within(writer.verify(read.success), timeoutMillis), signal)
    },
    status: () => encodeReplicaStatus(status.current()),
    close,
    [Symbol.asyncDispose]: close
  })
}

/** How many writes of a batch, and bytes of their values, are under way at once: far less than a replica refuses. */
const batchWrites = 4096
const batchBytes = 32 * 1024 * 1024

const nothing = (): void => {}

const isClosing = () => new ReplicaClosing({ message: "the replica is closed, or closing" })

const notBegun = () => new TimedOut({ message: "there was no answer in time; nothing was written" })

const unknown = (stamp: StampToken.StampToken) =>
  new OutcomeUnknown({
    message:
      "nobody knows whether the write took place, because there was no answer in time; with its stamp it may be made again",
    stamp
  })

/** Gives up waiting after so many milliseconds. */
const within = <A, E>(
  effect: Effect.Effect<A, E>,
  millis: number | undefined
): Effect.Effect<A, E | Cause.TimeoutError> => (millis === undefined ? effect : Effect.timeout(effect, millis))

const encodeReceipt = Schema.encodeSync(Receipt.Receipt)
const receiptOf = (receipt: Receipt.Receipt): ClientReceipt => {
  const { policy, ...rest } = encodeReceipt(receipt)
  return { ...rest, policy: { ...policy } }
}
const decodeReceipt = Schema.decodeUnknownResult(Receipt.Receipt)
const encodeStatus = Schema.encodeSync(Receipt.WriteStatus) as (status: typeof Receipt.WriteStatus.Type) => WriteStatus
const encodeReplicaStatus = Schema.encodeSync(ReplicaStatus.Status)

const isWriteId = Schema.is(WriteId.WriteId)
const isStamp = Schema.is(StampToken.StampToken)

const writeIdOf = (field: string, text: string): WriteId.WriteId => {
  if (!isWriteId(text)) throw invalid(field, "it is no id of a write")
  return text
}

const stampOf = (text: string): StampToken.StampToken => {
  if (!isStamp(text)) throw invalid("stamp", "it is no stamp")
  return text
}
