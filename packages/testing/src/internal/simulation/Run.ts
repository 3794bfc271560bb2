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
      if (ended === "idle") world.violated("Liveness", "the run is idle and not at its end")
      else if (ended !== "done")
        world.violated("NeverStandsStill", `${ended.busy.name} does one thing after another, and no time passes`)
      const exit = fiber.pollUnsafe()
      if (exit?._tag === "Failure") world.violated("NoDefect", `the run failed: ${String(exit.cause)}`)
    },
    ({ place, used }) => world.violated("NoEscape", `${used} was used, at ${place}`)
  )
