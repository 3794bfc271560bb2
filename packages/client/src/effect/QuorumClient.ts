/**
 * The client as a service of Effect: what is asked, tried again and remembered is what `createClient` does, on the same
 * wire. What fails is in the types, by the `code` of the error as its tag; who is interrupted aborts the call.
 */
import { Context, Effect, Layer, Option, type Scope, Stream } from "effect"
import { createClient, type QuorumClient as Promises, type ReplicaStatus } from "../Client.ts"
import * as ClientErrors from "../ClientError.ts"
import type { ClientOptions } from "../Options.ts"
import * as QuorumErrors from "../QuorumError.ts"
import type { GetOptions, ListOptions } from "../Reads.ts"
import type { Change, Place, QuorumRecord, Receipt, Verification, WriteStatus } from "../Record.ts"
import type { Value } from "../Value.ts"
import type { WatchOptions } from "../Watch.ts"
import type { Write, WriteOptions } from "../Writes.ts"

/** What a call may fail with: the classes of this package, of which the tag is the `code`. */
export type Failure = ErrorOf<Omit<typeof QuorumErrors, "QuorumError">> | ErrorOf<typeof ClientErrors>

/** What a call may be given: it has no signal, because who is interrupted gives up. */
type Given<Options> = Omit<Options, "signal">

/** The methods of a client. They are those of `createClient`, with effects for promises and streams for generators. */
export interface Methods {
  /** Writes a record, and succeeds when W replicas hold it durably. */
  readonly put: (
    namespace: string,
    key: string,
    value: Value,
    options?: Given<WriteOptions>
  ) => Effect.Effect<Receipt, Failure>
  /** Reads a record: never older than what this client has written to it. */
  readonly get: (
    namespace: string,
    key: string,
    options?: Given<GetOptions>
  ) => Effect.Effect<Option.Option<QuorumRecord>, Failure>
  /** Deletes a record: a write like any other, whether the record is there or not. */
  readonly delete: (
    namespace: string,
    key: string,
    options?: Omit<Given<WriteOptions>, "contentType">
  ) => Effect.Effect<Receipt, Failure>
  /** The records of a namespace in the order of their keys, page after page as they are taken. */
  readonly list: (namespace: string, options?: Given<ListOptions>) => Stream.Stream<QuorumRecord, Failure>
  /** The keys of a namespace, without their values. */
  readonly keys: (namespace: string, options?: Given<ListOptions>) => Stream.Stream<string, Failure>
  /** Follows what is written to a namespace, each write at least once, at one replica after another. */
  readonly watch: (namespace: string, options?: Given<WatchOptions>) => Stream.Stream<Change, Failure>
  /** Makes many writes, and answers for each by itself, in their order. It fails only where nothing can be asked for. */
  readonly batch: (
    writes: ReadonlyArray<Write>,
    options?: Omit<Given<WriteOptions>, "contentType" | "stamp">
  ) => Effect.Effect<ReadonlyArray<BatchResult>, Failure>
  /** Makes several writes one: they are of different keys, and every replica holds all of them or none. */
  readonly commit: (
    writes: ReadonlyArray<Write>,
    options?: Omit<Given<WriteOptions>, "contentType">
  ) => Effect.Effect<Receipt, Failure>
  /** Draws a stamp for a write of these keys, which may then be made with `{ stamp }` any number of times within a day. */
  readonly stamp: (keys: ReadonlyArray<Place>, options?: CallOptions) => Effect.Effect<string, Failure>
  /** Waits for the quorum of an earlier write, or until `w` replicas hold it. */
  readonly resume: (writeId: string, options?: CallOptions & { readonly w?: number }) => Effect.Effect<Receipt, Failure>
  /** What is known of an earlier write. */
  readonly writeStatus: (writeId: string, options?: CallOptions) => Effect.Effect<WriteStatus, Failure>
  /** Asks all replicas of today for their copies of a write. */
  readonly verify: (receipt: Receipt, options?: CallOptions) => Effect.Effect<Verification, Failure>
  /** The state of every replica, in the order of the urls. */
  readonly status: (options?: CallOptions) => Effect.Effect<ReadonlyArray<ReplicaStatus>, Failure>
}

/** How long a call may take in all, instead of what the client was made with. */
export interface CallOptions {
  readonly timeoutMillis?: number | undefined
}

/** What became of one of many writes. */
export type BatchResult =
  | { readonly ok: true; readonly receipt: Receipt }
  | { readonly ok: false; readonly error: Failure }

/** A client of a replica set. */
export class QuorumClient extends Context.Service<QuorumClient, Methods>()("@quorum/client/QuorumClient") {}

/** Makes a client. When the scope ends it takes nothing more, and waits until every call is answered. */
export const make = (options: ClientOptions): Effect.Effect<Methods, ClientErrors.InvalidOptions, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.try({ try: () => createClient(options), catch: (error) => error }).pipe(
        Effect.catch((error) => (error instanceof ClientErrors.InvalidOptions ? Effect.fail(error) : Effect.die(error)))
      ),
      (client) => Effect.promise(() => client.close())
    ),
    methodsOf
  )

/** {@link make} as a layer. */
export const layer = (options: ClientOptions): Layer.Layer<QuorumClient, ClientErrors.InvalidOptions> =>
  Layer.effect(QuorumClient, make(options))

// ---------------------------------------------------------------------------------------------------------------------

/** The errors of a module. */
type ErrorOf<Module> = {
  [Name in keyof Module]: Module[Name] extends new (fields: QuorumErrors.Fields) => infer E ? E : never
}[keyof Module]

const isFailure = (error: unknown): error is Failure => error instanceof QuorumErrors.QuorumError

/** A call. It is aborted when it is interrupted; a write that was sent by then may take place all the same. */
const ask = <A>(call: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, Failure> =>
  Effect.tryPromise({ try: call, catch: (error) => error }).pipe(
    Effect.catch((error) => (isFailure(error) ? Effect.fail(error) : Effect.die(error)))
  )

/** What a generator yields. It is aborted when nobody takes it any more. */
const follow = <A>(open: (signal: AbortSignal) => AsyncIterable<A>): Stream.Stream<A, Failure> =>
  Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => new AbortController()),
        (controller) => Effect.sync(() => controller.abort())
      ),
      ({ signal }) => Stream.fromAsyncIterable(open(signal), (error) => error)
    )
  ).pipe(Stream.catch((error) => (isFailure(error) ? Stream.fail(error) : Stream.die(error))))

const methodsOf = (client: Promises): Methods => ({
  put: (namespace, key, value, options) => ask((signal) => client.put(namespace, key, value, { ...options, signal })),
  get: (namespace, key, options) =>
    Effect.map(
      ask((signal) => client.get(namespace, key, { ...options, signal })),
      Option.fromUndefinedOr
    ),
  delete: (namespace, key, options) => ask((signal) => client.delete(namespace, key, { ...options, signal })),
  list: (namespace, options) => follow((signal) => client.list(namespace, { ...options, signal })),
  keys: (namespace, options) => follow((signal) => client.keys(namespace, { ...options, signal })),
  watch: (namespace, options) => follow((signal) => client.watch(namespace, { ...options, signal })),
  batch: (writes, options) =>
    Effect.flatMap(
      ask((signal) => client.batch(writes, { ...options, signal })),
      Effect.forEach((result): Effect.Effect<BatchResult> => {
        if (result.ok) return Effect.succeed(result)
        const { error } = result
        return isFailure(error) ? Effect.succeed({ ok: false, error }) : Effect.die(error)
      })
    ),
  commit: (writes, options) => ask((signal) => client.commit(writes, { ...options, signal })),
  stamp: (keys, options) => ask((signal) => client.stamp(keys, { ...options, signal })),
  resume: (writeId, options) => ask((signal) => client.resume(writeId, { ...options, signal })),
  writeStatus: (writeId, options) => ask((signal) => client.writeStatus(writeId, { ...options, signal })),
  verify: (receipt, options) => ask((signal) => client.verify(receipt, { ...options, signal })),
  status: (options) => ask((signal) => client.status({ ...options, signal }))
})
