/** A tracer that keeps what it is asked for. */
import { Option, Tracer } from "effect"

/** Decides of each root whether its trace is sampled, and keeps all spans that were begun. */
export const make = (isSampled: () => boolean = () => true) => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const sampled = options.sampled && (options.parent._tag === "Some" || isSampled())
      const span = new Tracer.NativeSpan({ ...options, sampled })
      spans.push(span)
      return span
    }
  })
  return { tracer, spans, named: (name: string) => spans.filter((span) => span.name === name) }
}

/** The id of a span's parent. */
export const parentOf = ({ parent }: Tracer.Span): string | undefined => Option.getOrUndefined(parent)?.spanId

/** How long a span took, in milliseconds. */
export const millisOf = ({ status }: Tracer.Span): number => {
  if (status._tag === "Started") throw new Error("it has not ended")
  return Number(status.endTime - status.startTime) / 1e6
}
