/**
 * What a replica process is told when it starts: one JSON argument; and what it says when it is ready: one JSON line.
 */
import { QuorumPolicy, ReplicaId } from "@quorum/core"
import { Schema } from "effect"

/** What carries the protocol between the replicas. Clients are answered over HTTP in any case. */
export const Transport = Schema.Literals(["http", "ws"])

/** What carries the protocol between the replicas. */
export type Transport = typeof Transport.Type

/** On what a replica keeps its logs and its record index. */
export const Store = Schema.Literals(["sqlite", "lmdb"])

/** On what a replica keeps its logs and its record index. */
export type Store = typeof Store.Type

/** By what the members prove to each other who they are: a file with the secret that they share, or certificates. */
export const Proof = Schema.Union([
  Schema.Struct({ secretFile: Schema.NonEmptyString }),
  Schema.Struct({
    key: Schema.NonEmptyString,
    certificate: Schema.NonEmptyString,
    authority: Schema.NonEmptyString,
    allowlist: Schema.NonEmptyString
  })
])

/** By what a member proves who it is. */
export type Proof = typeof Proof.Type

/** What a replica process is told. */
export const ReplicaConfig = Schema.Struct({
  cluster: Schema.NonEmptyString,
  id: ReplicaId.ReplicaId,
  /** Where its files are. */
  folder: Schema.NonEmptyString,
  port: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 })),
  /** All members by id, itself included, with their addresses. */
  members: Schema.Record(ReplicaId.ReplicaId, Schema.String),
  proof: Proof,
  policy: QuorumPolicy.QuorumPolicy,
  transport: Transport,
  /** SQLite unless given. */
  store: Schema.optionalKey(Store),
  /** By how many milliseconds its clock is ahead of the machine's, to show what that does; below 0 when it is behind. */
  clockShiftMillis: Schema.optionalKey(Schema.Int),
  /** Logs to standard error instead of the file `replica.log`. */
  verbose: Schema.Boolean
})

/** What a replica process is told. */
export type ReplicaConfig = typeof ReplicaConfig.Type

/** {@link ReplicaConfig} as the text of an argument. */
export const FromArgument = Schema.fromJsonString(ReplicaConfig)

/** What a replica process says when it takes requests. */
export const Ready = Schema.Struct({ ready: ReplicaId.ReplicaId, pid: Schema.Int })

/** {@link Ready} as a line. */
export const FromReadyLine = Schema.fromJsonString(Ready)
