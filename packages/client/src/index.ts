/**
 * A client of Quorum with plain promises and no dependency: {@link createClient}.
 */
export { createClient, type QuorumClient, type ReplicaStatus } from "./Client.ts"
export { ClientClosed, InvalidOptions, OutcomeUnknown, TimedOut, UnexpectedAnswer, Unreachable } from "./ClientError.ts"
export type { CallOptions } from "./Calls.ts"
export type { ClientOptions } from "./Options.ts"
export {
  ChangesForgotten,
  DiskLow,
  Forbidden,
  HostUnknown,
  IdempotencyKeyReused,
  IdempotencyUnknown,
  Internal,
  InvalidRequest,
  LocalWriteFailed,
  LogDamaged,
  MethodNotAllowed,
  NotAcceptable,
  NotImplemented,
  NotReady,
  NotYetVisible,
  Overloaded,
  QuorumError,
  QuorumNotMet,
  QuorumUnavailable,
  RateLimited,
  ReadUnavailable,
  RecordNotFound,
  ReplicaClosing,
  RequestTimeout,
  RequestTooLarge,
  RouteUnknown,
  StampReused,
  StoreFailed,
  TooOldToKnow,
  Unauthorized,
  Unhealthy,
  UnsupportedMediaType,
  WriteCompacted,
  WriteRejected,
  WriteReplaced,
  WriteUncertain,
  WriteUnknown,
  type Written,
  type Verdict,
  type Verdicts
} from "./QuorumError.ts"
export type { GetOptions, ListOptions } from "./Reads.ts"
export {
  type Change,
  type Clock,
  type Place,
  QuorumRecord,
  type Receipt,
  type Verification,
  type WriteStatus
} from "./Record.ts"
export { contentOf, type Content, type Value } from "./Value.ts"
export type { BatchResult, Write, WriteOptions } from "./Writes.ts"
export type { WatchOptions } from "./Watch.ts"
