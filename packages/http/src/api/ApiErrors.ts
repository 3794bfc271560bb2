/**
 * What the client API itself may answer instead of what was asked for, beside core's errors.
 */
import { ReplicaStore } from "@quorum/core/adapter"
import { Schema } from "effect"

/** A parameter cannot be used. `field` is its name. Nothing was written. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", {
  field: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid request, ${this.field}: ${this.detail}`
  }
}

/** There is no token, or an unknown one, where one is needed. Nothing was done. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", {}) {
  override get message(): string {
    return "a token is needed here: Authorization: Bearer …"
  }
}

/** The token may not do that. Nothing was done. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", {}) {
  override get message(): string {
    return "this token may not do that"
  }
}

/**
 * This client asks more often than it may, or sends more at once than is left for others. Nothing was done; when it may
 * again stands in `Retry-After`.
 */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {}) {
  override get message(): string {
    return "this client asks more often, or sends more at once, than it may here; nothing was done"
  }
}

/** The key was never written, as far as this replica knows, or is deleted. */
export class RecordNotFound extends Schema.TaggedError<RecordNotFound>()("RecordNotFound", {
  namespace: Schema.String,
  key: Schema.String
}) {
  override get message(): string {
    return `there is no record ${JSON.stringify(this.key)} in ${JSON.stringify(this.namespace)}`
  }
}

/** The replica answers and does not work. `reason` is its store's; what exactly is in this replica's log. */
export class Unhealthy extends Schema.TaggedError<Unhealthy>()("Unhealthy", {
  reason: ReplicaStore.StoreErrorReason
}) {
  override get message(): string {
    return `the store of this replica fails (${this.reason}); its log says why`
  }
}

/** The body is not of the type that is read here. */
export class UnsupportedMediaType extends Schema.TaggedError<UnsupportedMediaType>()("UnsupportedMediaType", {
  contentType: Schema.String
}) {
  override get message(): string {
    return `the type of the body is ${this.contentType}, and application/x-ndjson is read here`
  }
}

/** The answer has none of the types that the client takes. */
export class NotAcceptable extends Schema.TaggedError<NotAcceptable>()("NotAcceptable", { accept: Schema.String }) {
  override get message(): string {
    return `the answer is application/x-ndjson or text/event-stream, and ${this.accept} is accepted`
  }
}
