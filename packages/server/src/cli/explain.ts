/**
 * `quorum explain`: which failures a policy survives.
 */
import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Explain from "../Explain.ts"
import * as Table from "../tools/Table.ts"
import { Usage } from "./Ending.ts"
import * as Whole from "../tools/Whole.ts"
import * as Flags from "./flags.ts"

const flags = {
  policy: Argument.String("policy").pipe(
    Argument.withDescription("majority, all, one, all-but-1, a number of replicas (2), or a number of so many (2/3)"),
    Argument.withDefault("majority")
  ),
  replicas: Whole.flag("replicas", 1, 25).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("How many replicas there are (default: as many as have a zone, or 3)"),
    Flag.optional
  ),
  r: Whole.flag("r", 1, 25).pipe(
    Flag.withMetavar("R"),
    Flag.withDescription("How many replicas a quorum read asks (default: a majority)"),
    Flag.optional
  ),
  zones: Flag.String("zones").pipe(
    Flag.withMetavar("a=ZONE,b=ZONE,…"),
    Flag.withDescription("Where each replica is: replicas of one zone fail together"),
    Flag.optional
  ),
  json: Flags.json
}

/** The command. */
export const command = Command.make(
  "explain",
  flags,
  Effect.fnUntraced(function* ({ json, policy, r, replicas, zones: text }) {
    const zones = Option.isSome(text) ? yield* zonesOf(text.value) : {}
    const { n, w } = yield* widthOf(policy, Option.getOrUndefined(replicas), Object.keys(zones).length)
    const explanation = yield* Effect.mapError(
      Effect.fromResult(Explain.explain({ n, w, zones, r: Option.getOrUndefined(r) })),
      (error) => new Usage({ detail: error.message })
    )
    yield* Console.log(json ? JSON.stringify(explanation, null, 2) : textOf(explanation))
  })
).pipe(
  Command.withDescription(
    "Says which failures a policy survives: whether writes and reads go on while replicas are away, whether what was " +
      "acknowledged is still there if they never come back, and whether empty disks in their places vote again by themselves."
  ),
  Command.withShortDescription("Says which failures a policy survives"),
  Command.withExamples([
    { command: "quorum explain majority --replicas 5", description: "Three of five" },
    { command: "quorum explain 2/3 --zones a=x,b=x,c=y", description: "Two of three, of which two are in one place" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

const zonesOf = (text: string): Effect.Effect<Readonly<Record<string, string>>, Usage> => {
  const zones: Record<string, string> = {}
  for (const part of text.split(",")) {
    const [, id, zone] = /^\s*([^=\s]+)=([^=\s]+)\s*$/.exec(part) ?? []
    if (id === undefined || zone === undefined) {
      return Effect.fail(new Usage({ detail: `--zones: expected a=ZONE,b=ZONE,…, got ${JSON.stringify(part)}` }))
    }
    if (Object.hasOwn(zones, id)) return Effect.fail(new Usage({ detail: `--zones: ${id} is given twice` }))
    zones[id] = zone
  }
  return Effect.succeed(zones)
}

/** The sizes that a policy's name stands for. */
const widthOf = (policy: string, replicas: number | undefined, placed: number) => {
  const of = /^(\d{1,3})(?:\/(\d{1,3}))?$/.exec(policy)
  const n = of?.[2] === undefined ? (replicas ?? (placed > 0 ? placed : 3)) : Number(of[2])
  if (replicas !== undefined && replicas !== n) {
    return Effect.fail(new Usage({ detail: `--replicas: ${replicas}, and the policy says ${n}` }))
  }
  const allBut = /^all-but-(\d{1,3})$/.exec(policy)?.[1]
  const w =
    policy === "majority"
      ? Math.floor(n / 2) + 1
      : policy === "all"
        ? n
        : policy === "one"
          ? 1
          : allBut !== undefined
            ? n - Number(allBut)
            : of === null
              ? undefined
              : Number(of[1])
  return w === undefined
    ? Effect.fail(
        new Usage({ detail: `policy: expected majority, all, one, all-but-1, 2 or 2/3, got ${JSON.stringify(policy)}` })
      )
    : Effect.succeed({ n, w })
}

const textOf = ({ majority, n, notes, r, rows, w }: Explain.Explanation): string =>
  [
    `${w} of ${n} replicas hold a write; a quorum read asks ${r}, a linearizable one ${majority}`,
    "",
    ...Table.lines(
      ["failure", "writes", "reads", "quorum", "linearizable", "both", "nothing lost", "replaced alone"],
      rows.map((row) => [
        row.failure,
        ...[row.writes, row.localReads, row.quorumReads, row.linearizableReads, row.both, row.kept, row.replaced].map(
          (holds) => (holds ? "yes" : "no")
        )
      ])
    ),
    "",
    "reads: of one replica that is left. nothing lost: if their disks never come back. replaced alone: with empty disks",
    "they vote again without an operator.",
    "",
    ...notes
  ].join("\n")
