/**
 * `quorum resume` and `quorum verify`: what became of a write.
 */
import { readFileSync } from "node:fs"
import type { Receipt } from "@quorum/client"
import { Console, Effect, Option, Predicate } from "effect"
import { Argument, Command } from "effect/cli"
import * as Table from "../tools/Table.ts"
import { Ended, Usage } from "./Ending.ts"
import * as Records from "./records.ts"
import * as Remote from "./remote.ts"

/** `quorum resume`. */
export const resume = Command.make(
  "resume",
  {
    writeId: Argument.String("write-id").pipe(Argument.withDescription("The id of the write, as it was answered")),
    w: Records.w,
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ w, writeId, ...given }) {
    const remote = yield* Remote.connect(given)
    const options = Option.isSome(w) ? { w: w.value } : {}
    const receipt = yield* Remote.ask(given, (signal) => remote.client.resume(writeId, { ...options, signal }))
    yield* Console.log(Records.receiptText(receipt, given.json))
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Waits for the quorum of a write that missed it, or until more replicas hold it. Nothing is written again."
  ),
  Command.withShortDescription("Waits for the quorum of a write"),
  Command.withExamples([
    { command: "quorum resume a@9f3c52d0b1e44a07:1.5ad3c01e", description: "After quorum not met" },
    { command: "quorum resume a@9f3c52d0b1e44a07:1.5ad3c01e --w 3", description: "Until three replicas hold it" }
  ])
)

/** `quorum verify`. */
export const verify = Command.make(
  "verify",
  {
    write: Argument.String("write").pipe(
      Argument.withDescription(
        "A file with the receipt of a write (put --json), - for standard input, or the id of a write"
      )
    ),
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ write, ...given }) {
    const remote = yield* Remote.connect(given)
    if (/^[^/\s]+@[0-9a-f]{16}:\d+\.[0-9a-f]{8}$/.test(write)) {
      const status = yield* Remote.ask(given, (signal) => remote.client.writeStatus(write, { signal }))
      const { committed, holders, n, verdicts, w, writeId } = status
      const rows = [
        ...holders.map((id) => [id, "holds it"]),
        ...Object.entries(verdicts)
          .filter(([id]) => !holders.includes(id))
          .map(([id, { kind }]) => [id, kind])
      ]
      const text = [
        `${writeId}: ${holders.length} of ${n} are known to hold it, and ${w} are needed`,
        ...Table.lines(["replica", "state"], rows)
      ]
      yield* Console.log(given.json ? JSON.stringify(status) : text.join("\n"))
      if (!committed) return yield* new Ended({ code: 1 })
      return
    }
    const receipt = yield* receiptIn(write)
    const verification = yield* Remote.ask(given, (signal) => remote.client.verify(receipt, { signal }))
    const { committed, copies, held, movedTo = [], writeId } = verification
    const text = [
      `${writeId}: ${held} replicas hold it, and ${receipt.policy.w} are needed`,
      ...movedTo.map((id) => `it was committed again as ${id}`),
      ...Table.lines(["replica", "copy"], Object.entries(copies))
    ]
    yield* Console.log(given.json ? JSON.stringify(verification) : text.join("\n"))
    if (!committed) return yield* new Ended({ code: 1 })
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Asks every replica of today for its copy of a write that has a receipt; or, for the id of a write, one replica for what " +
      "it knows. Exit code 1 when fewer hold it than are needed."
  ),
  Command.withShortDescription("Asks the replicas for their copies of a write"),
  Command.withExamples([
    {
      command: "quorum put notes k v --json > receipt.json && quorum verify receipt.json",
      description: "A receipt, later"
    },
    { command: "quorum verify a@9f3c52d0b1e44a07:1.5ad3c01e", description: "What is known of a write" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

const receiptIn = Effect.fnUntraced(function* (path: string) {
  const given = path === "-" ? Buffer.from(yield* Records.input).toString() : undefined
  const receipt = yield* Effect.try({
    try: (): unknown => JSON.parse(given ?? readFileSync(path, "utf8")),
    catch: (error) => {
      const what = given === undefined ? "no id of a write, and no file with a receipt" : "no receipt"
      return new Usage({ detail: `write: it is ${what}: ${Remote.messageOf(error)}` })
    }
  })
  return isReceipt(receipt) ? receipt : yield* new Usage({ detail: `write: there is no receipt in ${path}` })
})

const isReceipt = (value: unknown): value is Receipt =>
  Predicate.hasProperty(value, "writeId") &&
  Predicate.hasProperty(value, "policy") &&
  Predicate.hasProperty(value, "acked")
