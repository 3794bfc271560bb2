/**
 * `quorum ls`: what there is.
 */
import { Console, Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { printable } from "../tools/Progress.ts"
import * as Table from "../tools/Table.ts"
import * as Text from "../tools/Text.ts"
import * as Pages from "./pages.ts"
import * as Records from "./records.ts"
import * as Whole from "../tools/Whole.ts"
import * as Remote from "./remote.ts"
import { Usage } from "./Ending.ts"

/** The command. */
export const command = Command.make(
  "ls",
  {
    namespace: Argument.String("namespace").pipe(
      Argument.withDescription("Whose records (default: all)"),
      Argument.optional
    ),
    prefix: Flag.String("prefix").pipe(
      Flag.withMetavar("TEXT"),
      Flag.withDescription("Only keys that begin so"),
      Flag.optional
    ),
    reverse: Flag.Boolean("reverse").pipe(
      Flag.withDescription("From the last key to the first"),
      Flag.withDefault(false)
    ),
    limit: Whole.flag("limit", 1, Number.MAX_SAFE_INTEGER).pipe(
      Flag.withMetavar("N"),
      Flag.withDescription("The first N only"),
      Flag.optional
    ),
    long: Flag.Boolean("long").pipe(
      Flag.withAlias("l"),
      Flag.withDescription("Show how long values are, of which type, and by which write"),
      Flag.withDefault(false)
    ),
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ limit, long, namespace: asked, prefix: begins, reverse, ...given }) {
    const [namespace, prefix] = [Option.getOrUndefined(asked), Option.getOrUndefined(begins)]
    if (namespace === undefined && (prefix !== undefined || reverse)) {
      return yield* new Usage({ detail: "--prefix and --reverse are for the keys of a namespace; give one" })
    }
    const remote = yield* Remote.connect(given)
    const first = Option.getOrElse(limit, () => Number.POSITIVE_INFINITY)
    if (!long && !given.json && namespace !== undefined) {
      const keys = Pages.keys(remote, given, { namespace, prefix, reverse })
      return yield* inPages(keys, first, (page) => page.map(({ key }) => shown(key)))
    }
    const records = Pages.records(remote, given, { namespace, prefix, reverse })
    if (given.json)
      return yield* inPages(records, first, (page) => page.map((record) => JSON.stringify(Records.lineOf(record))))
    if (!long)
      return yield* inPages(records, first, (page) =>
        page.map(({ key, namespace }) => `${shown(namespace)}\t${shown(key)}`)
      )
    const head = ["namespace", "key", " bytes", "type", "write"]
    let isFirst = true
    yield* inPages(records, first, (page) => {
      const rows = page.map(({ bytes, contentType = "", key, namespace, writeId }) => [
        namespace,
        key,
        Text.number(bytes.length),
        contentType,
        writeId
      ])
      const lines = Table.lines(head, rows)
      const after = isFirst ? lines : lines.slice(1)
      isFirst = false
      return after
    })
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Lists the keys of a namespace in the order of their bytes, or all records; with --json as lines that quorum import takes."
  ),
  Command.withShortDescription("Lists records"),
  Command.withExamples([
    { command: "quorum ls photos --prefix 2026/", description: "The keys of a namespace that begin so" },
    { command: "quorum ls -l", description: "All records, as a table" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

/** A name on a line of its own. */
const shown = (name: string): string => printable(name).replaceAll("\n", "\\n")

/** Prints the first so many, a page at a time. */
const inPages = <A, E, R>(
  pages: Stream.Stream<ReadonlyArray<A>, E, R>,
  first: number,
  linesOf: (page: ReadonlyArray<A>) => ReadonlyArray<string>
): Effect.Effect<void, E, R> => {
  let left = first
  return pages.pipe(
    Stream.takeUntil(({ length }) => (left -= length) <= 0),
    Stream.runForEach((page) => {
      const lines = linesOf(left < 0 ? page.slice(0, page.length + left) : page)
      return lines.length === 0 ? Effect.void : Console.log(lines.join("\n"))
    })
  )
}
