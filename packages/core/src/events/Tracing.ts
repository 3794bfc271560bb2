/**
 * Spans of what a replica does: one per batch that it appends and one per push, never one per write. They go to Effect's
 * `Tracer`; where none was installed, or a trace is not sampled, none is made.
 *
 * Whether a trace is sampled is decided once, at its root, and everything after it follows: that is the span in which a
 * write was committed, an HTTP request's for example, and for writes without one the batch.
 */
import { Cause, Clock, Context, Effect, Exit, Fiber, LogLevel, Option, References, Tracer } from "effect"

/** What a span is told about. */
export interface SpanOptions {
  readonly kind: Tracer.SpanKind
  /** Never a key, a namespace or a value. */
  readonly attributes: Readonly<Record<string, string | number>>
}

/** Makes the spans of a replica. */
export interface Tracing {
  /** Whether anybody traces. */
  readonly active: boolean
  /** The span in which the running fiber is, if anybody traces. */
  readonly current: () => Tracer.AnySpan | undefined
  /** A span in each of these traces; none in those that are not sampled. */
  readonly start: (
    name: string,
    parents: ReadonlyArray<Tracer.AnySpan>,
    options: SpanOptions
  ) => ReadonlyArray<Tracer.Span>
  /**
   * The span of a batch whose writes were committed in these spans: within the first that is sampled, and linked from
   * all of those; a root when there are none.
   */
  readonly startBatch: (
    name: string,
    commits: ReadonlyArray<Tracer.AnySpan>,
    options: SpanOptions
  ) => ReadonlyArray<Tracer.Span>
  /**
   * Ends spans with an effect. `succeeded` hears of a success before they end, and says in a word what is wrong with it,
   * if anything is.
   */
  readonly within: <A, E, R>(
    spans: ReadonlyArray<Tracer.Span>,
    effect: Effect.Effect<A, E, R>,
    succeeded?: (value: A) => string | undefined | void
  ) => Effect.Effect<A, E, R>
}

/** Spans by the tracer in context; what it is told of a root decides whether that trace is sampled. */
export const make: Effect.Effect<Tracing> = Effect.gen(function* () {
  const tracer = yield* Tracer.Tracer
  const clock = yield* Clock.Clock
  const annotations = yield* References.TracerSpanAnnotations
  const level = yield* Tracer.CurrentTraceLevel
  // The native tracer keeps spans for nobody.
  const active =
    tracer !== Tracer.nativeTracer &&
    (yield* References.TracerEnabled) &&
    !LogLevel.isGreaterThan(yield* Tracer.MinimumTraceLevel, level)

  const span = (name: string, parent: Tracer.AnySpan | undefined, { attributes, kind }: SpanOptions): Tracer.Span => {
    const made = tracer.span({
      name,
      kind,
      parent: Option.fromUndefinedOr(parent),
      root: parent === undefined,
      sampled: true,
      links: [],
      annotations: Context.empty(),
      startTime: clock.currentTimeNanosUnsafe()
    })
    if (!made.sampled) return made
    for (const [key, value] of Object.entries(annotations)) made.attribute(key, value)
    for (const [key, value] of Object.entries(attributes)) made.attribute(key, value)
    return made
  }

  return {
    active,
    current: () => (active ? Fiber.getCurrent()?.cache.span : undefined),
    start: (name, parents, options) => {
      if (!active || parents.length === 0) return none
      return parents
        .filter(isSampled)
        .map((parent) => span(name, parent, options))
        .filter(isSampled)
    },
    startBatch: (name, commits, options) => {
      if (!active) return none
      const sampled = commits.filter(isSampled)
      if (commits.length > 0 && sampled.length === 0) return none
      const made = span(name, sampled[0], options)
      if (!made.sampled) return none
      for (const commit of sampled) link(commit, made)
      return [made]
    },
    within: (spans, effect, succeeded = () => undefined) => {
      if (spans.length === 0) return effect
      return Effect.onExit(effect, (exit) =>
        Effect.sync(() => {
          const now = clock.currentTimeNanosUnsafe()
          if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) {
            for (const each of spans) each.end(now, exit)
            return
          }
          const type = Exit.isSuccess(exit) ? succeeded(exit.value) : errorType(exit.cause)
          for (const each of spans) {
            if (typeof type === "string") each.attribute("error.type", type)
            each.end(now, typeof type === "string" ? Exit.fail(type) : Exit.void)
          }
        })
      )
    }
  }
})

/**
 * Runs effects in fibers of their own, with the services that there are now and within no span: that in which a replica was
 * built is none of what it does later.
 */
export const runApart: Effect.Effect<<A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>> = Effect.map(
  Effect.context<never>(),
  (context) => Effect.runForkWith(Context.omit(Tracer.ParentSpan)(context))
)

/** The spans of batches that were appended lately, by place, so that what is done with a batch later can join them. */
export const makeRecent = () => {
  const known: Array<{ readonly from: number; readonly to: number; readonly span: Tracer.Span }> = []
  return {
    add: (from: number, to: number, spans: ReadonlyArray<Tracer.Span>): void => {
      for (const span of spans) known.push({ from, to, span })
      if (known.length > recentSpans) known.splice(0, known.length - recentSpans)
    },
    /** Those of the batches of which something is in this range, the oldest first, and at most {@link maxTraces}. */
    of: (from: number, to: number): ReadonlyArray<Tracer.Span> => {
      let end = known.length
      while (end > 0 && known[end - 1]!.from > to) end--
      let start = end
      while (start > 0 && known[start - 1]!.to >= from && end - start < maxTraces) start--
      return start === end ? none : known.slice(start, end).map(({ span }) => span)
    }
  }
}

/** What a span says of a batch. */
export const attributesOf = ({ bytes, count, log }: Batch) => ({
  "quorum.log": log,
  "quorum.entries": count,
  "quorum.bytes": bytes.length
})

/** The most traces that one push belongs to; it may carry several batches. */
export const maxTraces = 8

// ---------------------------------------------------------------------------------------------------------------------

const none: ReadonlyArray<Tracer.Span> = []

/** How many spans of batches are remembered: those of the batches that wait for a peer that is not far behind. */
const recentSpans = 64

/** The most links that one span gets, as OpenTelemetry's SDKs have it: a span may last as long as the program. */
const maxLinks = 128

interface Batch {
  readonly log: string
  readonly count: number
  readonly bytes: Uint8Array
}

/**
 * An error in a word: the reason that it gives, or its name. Messages name files and may name more: they are in the log
 * of this replica, and not in a span.
 */
const errorType = (cause: Cause.Cause<unknown>): string => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (typeof error !== "object" || error === null) return "defect"
  if ("reason" in error && typeof error.reason === "string") return error.reason
  return "_tag" in error ? String(error._tag) : "unknown"
}

const isSampled = ({ sampled }: Tracer.AnySpan): boolean => sampled

const link = (from: Tracer.AnySpan, to: Tracer.Span): void => {
  if (from._tag === "Span" && from.links.length < maxLinks) from.addLinks([{ span: to, attributes: {} }])
}
