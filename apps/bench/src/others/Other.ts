/**
 * What a user would pick instead: a replicated store with servers of its own, three of them on loopback, asked by a
 * fourth process through the store's usual npm client.
 */
import type { Effect, Scope } from "effect"
import type { Child, ProcessFailed } from "../Child.ts"
import type { System } from "../System.ts"

/** A server that runs. */
export interface Server {
  readonly pid: number
  /** Where its clients connect, on 127.0.0.1. */
  readonly port: number
}

/** The process that makes the writes, and the three servers behind it. */
export interface Started extends Child {
  readonly servers: ReadonlyArray<Server>
}

/** A system that is measured only where it is installed. */
export interface Other extends System {
  readonly start: (
    folder: string,
    nodeFlags: ReadonlyArray<string>
  ) => Effect.Effect<Started, ProcessFailed, Scope.Scope>
  /** What is not installed here and how to change that; undefined when nothing is missing. */
  readonly missing: () => string | undefined
}
