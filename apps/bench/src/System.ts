/**
 * Something that commits writes on a quorum of its replicas, and can be measured.
 */
import type { Effect, Scope } from "effect"
import type * as Child from "./Child.ts"

/** How to start it in a folder of its own, and what to call it. */
export interface System {
  readonly name: string
  /** Reading it may run a program to learn its version: only for systems that are measured. */
  readonly description: string
  /** Starts it; it ends with the scope. `nodeFlags` are for the process that commits. */
  readonly start: (
    folder: string,
    nodeFlags: ReadonlyArray<string>
  ) => Effect.Effect<Pick<Child.Child, "measure">, Child.ProcessFailed, Scope.Scope>
  /** Says what it needs and this machine lacks. */
  readonly missing?: () => string | undefined
}
