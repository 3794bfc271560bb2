/**
 * Where the rooms of core tell what happens. Not for applications: they listen to `ReplicaEvents`.
 */
import { Context } from "effect"
import type { ReplicaEvent } from "./ReplicaEvents.ts"

/** Takes events; nobody listens unless `ReplicaEvents.layer` is provided. */
export const EventSink = Context.Reference<{
  /** Whether anybody listens. Ask before an event is made. */
  readonly active: () => boolean
  /** Tells the listeners. Never throws. */
  readonly tell: (event: ReplicaEvent) => void
}>("@quorum/core/EventSink", { defaultValue: () => ({ active: () => false, tell: () => undefined }) })

/** Takes events. */
export type EventSink = (typeof EventSink)["Service"]
