/**
 * A run from its beginning to its end.
 */
import { Effect } from "effect"
import * as Escapes from "./Escapes.ts"
import type { World } from "./World.ts"
import * as Machines from "./Machines.ts"

/** Runs a program in a world, as one synchronous call. */
export const run = (world: World, program: Effect.Effect<void>): void =>
  Escapes.guard(
    () => {
      for (const machine of world.machines) Machines.start(world.setting, machine)
      const fiber = Effect.runForkWith(world.context)(program)
      const ended = world.timeline.run(() => fiber.pollUnsafe() !== undefined)
      if (ended !== "done") world.violated("Liveness", `the run is ${ended} and not at its end`)
      const exit = fiber.pollUnsafe()
      if (exit?._tag === "Failure") world.violated("NoDefect", `the run failed: ${String(exit.cause)}`)
    },
    ({ place, used }) => world.violated("NoEscape", `${used} was used, at ${place}`)
  )
