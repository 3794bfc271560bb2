/**
 * Reads of records: from this replica, from several, or so that every later read sees the same or newer.
 */
import { Clock, Context, Effect, Layer, Option, Result, type Stream } from "effect"
import { markedBy } from "../record/CallerKey.ts"
import { IndexFollower } from "../record/IndexFollower.ts"
import * as LocalRecords from "../record/LocalRecords.ts"
import type { NotYetVisible } from "../record/NotYetVisible.ts"
import type * as Pages from "../record/Pages.ts"
import { ReadRejected } from "../record/ReadRejected.ts"
import { type Newest, type Record, recordOf } from "../record/Record.ts"
import * as RecordKey from "../record/RecordKey.ts"
import * as Monotonic from "../log/Monotonic.ts"
import { StoreError } from "../log/ReplicaStore.ts"
import { KeyReader } from "../peer/KeyReader.ts"
import { Membership } from "../peer/Membership.ts"
import * as QuorumError from "../quorum/QuorumError.ts"
import * as QuorumPolicy from "../quorum/QuorumPolicy.ts"
import type * as Changes from "./Changes.ts"
import * as ClientSession from "./ClientSession.ts"
import { ClientSessions, type NotArrived } from "./ClientSessions.ts"
import * as Feed from "./internal/Feed.ts"
import * as QuorumReads from "./internal/QuorumReads.ts"
import { type Consistency, Policies } from "./Policies.ts"

export { NotYetVisible } from "../record/NotYetVisible.ts"
export { ReadRejected } from "../record/ReadRejected.ts"
export type { Consistency } from "./Policies.ts"
export type {
  Count,
  DamagedRecord,
  KeysPage,
  NamespacesOptions,
  NamespacesPage,
  Page,
  PageOptions,
  Part
} from "../record/Pages.ts"
export type { Newest, Record } from "../record/Record.ts"

/** What has to be visible first. */
export interface SessionOptions {
  /** What its client did and saw before, at whatever replicas: all of it has to be visible here first. */
  readonly session?: ClientSession.ClientSession
  /** How long it may take until it is, in milliseconds; 2,000 unless given. */
  readonly withinMillis?: number
}

/** What a read asks for. */
export interface ReadOptions extends LocalRecords.ReadOptions, SessionOptions {
  /** That of the namespace unless given. */
  readonly consistency?: Consistency
  /** How many replicas a `quorum` read asks, this one included: a majority unless given. */
  readonly r?: QuorumPolicy.W
}

/** Why a read was not answered. */
export type ReadError =
  | StoreError
  | NotYetVisible
  | ReadRejected
  | QuorumError.NotReady
  | QuorumError.ReadUnavailable
  | QuorumError.WriteReplaced

/** Why a page was not answered. */
export type PageError = StoreError | NotYetVisible | ReadRejected | QuorumError.NotReady | QuorumError.WriteReplaced

/** Reads of records. */
export class Records extends Context.Service<
  Records,
  {
    /**
     * The newest value of a key; none when it was never written or is deleted.
     *
     * With `atLeast` it waits until that write is visible here: a client reads its own writes on any replica. With
     * `session` it waits for all that the client did and saw: a read never shows something older than one before. All of it
     * takes `withinMillis` at most, 2,000 unless given. `ReadRejected` names what cannot be asked for: `linearizable`
     * needs a namespace whose writes are on a majority. `ReadUnavailable`: too few replicas answered. `NotReady`: this
     * replica is recovering, and may lack what it acknowledged, or builds its record index again, which was damaged.
     */
    readonly read: (
      namespace: string,
      key: string,
      options?: ReadOptions
    ) => Effect.Effect<Option.Option<Record>, ReadError>
    /** What {@link read} reads, a delete too: what a client has seen that was shown nothing. */
    readonly newest: (
      namespace: string,
      key: string,
      options?: ReadOptions
    ) => Effect.Effect<Option.Option<Newest>, ReadError>
    /** A page of the records that this replica holds; see `Pages`. */
    readonly page: (options: Pages.PageOptions & SessionOptions) => Effect.Effect<Pages.Page, PageError>
    /** The keys alone of such a page. */
    readonly keys: (options: Pages.PageOptions & SessionOptions) => Effect.Effect<Pages.KeysPage, PageError>
    /** How many records there are in a namespace, in a part of it, or in all. */
    readonly count: (part: Pages.Part & SessionOptions) => Effect.Effect<Pages.Count, PageError>
    /** The namespaces that have records, in the order of their names. */
    readonly namespaces: (
      options: Pages.NamespacesOptions & SessionOptions
    ) => Effect.Effect<Pages.NamespacesPage, PageError>
    /**
     * The changes that this replica holds durably, in the order of each log, then those to come; what was lost with a
     * connection, a reader or a replica is seen again from the position of a page on, at any replica. The first page
     * comes at once. Nothing is read ahead of the reader.
     */
    readonly changes: (options?: Changes.Options) => Stream.Stream<Changes.Page, Changes.ChangesError>
  }
>()("@quorum/core/Records") {}

/** Builds the reads on what this replica holds, and on its connections. */
export const make = Effect.gen(function* () {
  const local = yield* LocalRecords.LocalRecords
  const follower = yield* IndexFollower
  const membership = yield* Membership
  const policies = yield* Policies
  const sessions = yield* ClientSessions
  const clock = yield* Clock.Clock

  /** A replica that may lack what it acknowledged shows nothing. */
  const notVoting = (): QuorumError.NotReady | undefined =>
    membership.isVoting()
      ? undefined
      : new QuorumError.NotReady({ detail: membership.obstacle() ?? "it does not vote" })
  /** Nor does one that does not know where that is. */
  const obstacle = (): QuorumError.NotReady | undefined =>
    notVoting() ?? (follower.isBuilding() ? indexBuilt : undefined)
  const unless = (why: () => QuorumError.NotReady | undefined) =>
    Effect.suspend(() => {
      const error = why()
      return error === undefined ? Effect.void : Effect.fail(error)
    })
  const readable = unless(obstacle)
  const voting = unless(notVoting)
  const several = yield* QuorumReads.make(voting)
  const changes = yield* Feed.make(voting, membership.isGone)

  const rejected = (field: ReadRejected["field"], detail: string) => Result.fail(new ReadRejected({ field, detail }))

  /** How many replicas are asked; what cannot be promised is refused. */
  const replicasOf = (
    namespace: string,
    { consistency = policies.readsOf(namespace), r }: ReadOptions
  ): Result.Result<number, ReadRejected> => {
    const policy = policies.of(namespace)
    if (consistency !== "local" && consistency !== "quorum" && consistency !== "linearizable") {
      return rejected("consistency", 'it is neither "local", nor "quorum", nor "linearizable"')
    }
    if (r !== undefined && consistency !== "quorum") return rejected("r", "only a quorum read asks so many replicas")
    if (consistency === "linearizable" && policy.w < several.majority) {
      const detail = `writes of this namespace are on ${policy.w} of ${policy.n} replicas, and it takes ${several.majority}`
      return rejected("consistency", `linearizable reads are not possible: ${detail}`)
    }
    if (r === undefined) return Result.succeed(several.majority)
    return Result.mapBoth(QuorumPolicy.withW(policy, r, "r"), {
      onSuccess: ({ w }) => w,
      onFailure: ({ detail }) => new ReadRejected({ field: "r", detail })
    })
  }

  /** Waits until what a client has seen is visible here. */
  const arrived = (options: SessionOptions): Effect.Effect<void, NotArrived | ReadRejected> => {
    const { session, withinMillis = usualMillis } = options
    if (session === undefined) return Effect.void
    if (!ClientSession.is(session)) return Effect.fromResult(rejected("session", "it is not what a client did and saw"))
    if (!isMillis(withinMillis))
      return Effect.fromResult(rejected("withinMillis", "it is not a number of milliseconds"))
    return sessions.arrived(session, withinMillis)
  }

  /**
   * What takes time, after what a client has seen, and in what that has left of the time. Asked last as well: it may have
   * begun to recover meanwhile.
   */
  const after = <A, E>(options: SessionOptions, found: (left: () => number) => Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      const { withinMillis = usualMillis } = options
      const until = Monotonic.millis(clock) + withinMillis
      const left = () => Math.max(0, until - Monotonic.millis(clock))
      const seen = Effect.andThen(
        arrived(options),
        Effect.suspend(() => found(left))
      )
      return Effect.andThen(readable, seen).pipe(Effect.tap(() => voting))
    })

  /** Reads here, or of several what is made of their newest write. */
  const reading =
    <A>(here: (...key: Key) => Effect.Effect<A, ReadError>, of: (newest: Newest | undefined) => A) =>
    (namespace: string, key: string, options: ReadOptions = {}): Effect.Effect<A, ReadError> =>
      Effect.suspend(() => {
        const replicas = replicasOf(namespace, options)
        if (Result.isFailure(replicas)) return Effect.fail(replicas.failure)
        const rejected = LocalRecords.faultOfRead(options)
        if (rejected !== undefined) return Effect.fail(rejected)
        const { atLeast, consistency = policies.readsOf(namespace), session } = options
        if (consistency !== "local") {
          return after(options, (left) =>
            Effect.map(ofSeveral({ namespace, key }, consistency, replicas.success, atLeast, left), of)
          )
        }
        if (atLeast !== undefined || session !== undefined) {
          return after(options, (left) => here(namespace, key, { ...options, withinMillis: left() }))
        }
        const why = obstacle()
        return why === undefined ? here(namespace, key, options) : Effect.fail(why)
      })

  const ofSeveral = Effect.fnUntraced(function* (
    at: RecordKey.RecordKey,
    consistency: Exclude<Consistency, "local">,
    replicas: number,
    atLeast: ReadOptions["atLeast"],
    left: () => number
  ): Effect.fn.Return<Newest | undefined, ReadError> {
    // What is asked of this replica first is asked of it all the same.
    if (atLeast !== undefined) yield* local.arrived(atLeast, left())
    if (!RecordKey.isWellFormed(at)) return undefined
    const newest =
      consistency === "quorum" ? yield* several.quorum(at, replicas, left()) : yield* several.linearizable(at, left())
    return newest === undefined ? undefined : { ...at, ...newest }
  })

  return Records.of({
    read: reading(local.read, recordOf),
    newest: reading(local.seen, Option.fromUndefinedOr),
    page: (options) => after(options, () => local.page(options)),
    keys: (options) => after(options, () => local.keys(options)),
    count: (part) => after(part, () => local.count(part)),
    namespaces: (options) => after(options, () => local.namespaces(options)),
    changes
  })
})

/** {@link make} as a layer. */
export const layer = Layer.effect(Records, make)

/** What peers are told of this replica's records. */
export const layerKeyReader: Layer.Layer<KeyReader, never, LocalRecords.LocalRecords | Membership> = Layer.effect(
  KeyReader,
  Effect.gen(function* () {
    const local = yield* LocalRecords.LocalRecords
    const { hash, isArriving, lost } = yield* Membership
    const newest = (namespace: string, key: string) => local.newest(namespace, key, lost())

    /**
     * That there is no mark says that its write is nowhere, so it is not said while there may be one on its way: of what a
     * former life of a member has sent, which is lost to that member itself.
     */
    const ofMark = Effect.fnUntraced(function* (namespace: string, key: string) {
      const lives = hash()
      const isAllHere = !isArriving()
      const found = yield* newest(namespace, key)
      if (found?.deleted !== false && !(isAllHere && lives === hash())) return yield* stillArriving
      return found
    })

    return KeyReader.of({
      newest: (namespace, key) =>
        Effect.suspend(() => (markedBy(namespace) === undefined ? newest(namespace, key) : ofMark(namespace, key))),
      version: (namespace, key) => Effect.suspend(() => local.version(namespace, key, lost()))
    })
  })
)

// ---------------------------------------------------------------------------------------------------------------------

type Key = readonly [namespace: string, key: string, options: ReadOptions]

const stillArriving = new StoreError({
  reason: "unavailable",
  detail: "entries of a former life of a member are still being stored"
})

const indexBuilt = new QuorumError.NotReady({ detail: "its record index is built again from the logs" })

/** How long a read waits, in milliseconds, when it does not say. */
const usualMillis = 2000

const isMillis = (value: unknown): boolean => typeof value === "number" && value >= 0
