/**
 * `quorum export`: records as lines that `quorum import` takes.
 */
import { closeSync, fsyncSync, openSync, realpathSync, rmSync, statSync, writeSync } from "node:fs"
import { Console, Effect, Option, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as NewFile from "../tools/NewFile.ts"
import * as Progress from "../tools/Progress.ts"
import * as Text from "../tools/Text.ts"
import { Failed, leaving, Usage } from "./Ending.ts"
import * as Pages from "./pages.ts"
import * as Records from "./records.ts"
import * as Remote from "./remote.ts"

/** The command. */
export const command = Command.make(
  "export",
  {
    namespace: Argument.String("namespace").pipe(
      Argument.withDescription("Whose records (default: all)"),
      Argument.optional
    ),
    output: Flag.String("output").pipe(
      Flag.withAlias("o"),
      Flag.withMetavar("FILE"),
      Flag.withDescription("Write to FILE, which is there when it is whole (default: standard output)"),
      Flag.optional
    ),
    withoutDamaged: Flag.Boolean("without-damaged").pipe(
      Flag.withDescription(
        "Leave out what no replica can read that answers, and name it on standard error; without this it fails"
      ),
      Flag.withDefault(false)
    ),
    ...Remote.flags
  },
  Effect.fnUntraced(
    function* ({ namespace, output, withoutDamaged, ...given }) {
      const remote = yield* Remote.connect(given)
      const sink = yield* Option.match(output, { onNone: () => Effect.succeed(toStdout), onSome: toFile })
      let count = 0
      const left = new Set<string>()
      const onDamaged = ({ damaged = [], unreadable }: Pages.Damaged): void => {
        for (const { key, namespace } of damaged) {
          const record = Progress.printable(JSON.stringify([namespace, key]))
          left.add(`the record ${record} cannot be read, and is left out`)
        }
        for (const { from, log, to } of unreadable) {
          left.add(`entries ${from} to ${to} of ${Progress.printable(log)} cannot be read, and nobody knows of what`)
        }
      }
      const { finish, say, step } = yield* Progress.Progress
      yield* Pages.records(remote, given, {
        namespace: Option.getOrUndefined(namespace),
        onDamaged: withoutDamaged ? onDamaged : undefined
      }).pipe(
        Stream.runForEach((page) => {
          count += page.length
          const text = page.map((record) => `${JSON.stringify(Records.lineOf(record))}\n`).join("")
          return Effect.andThen(
            sink.write(text),
            given.json ? Effect.void : step("export", count, undefined, "records")
          )
        }),
        leaving(
          given.json,
          Effect.map(finish, () => ({ message: `after ${Text.number(count)} records; ${sink.left}`, records: count }))
        )
      )
      yield* sink.done
      yield* finish
      for (const line of left) yield* Console.error(line)
      if (Option.isSome(output))
        yield* given.json
          ? Console.log(JSON.stringify({ records: count, file: output.value }))
          : say(`${Text.number(count)} records in ${output.value}`)
    },
    Effect.scoped,
    Effect.provide(Progress.layer(process.stderr))
  )
).pipe(
  Command.withDescription(
    "Writes records as lines of JSON that quorum import takes, exactly: as JSON where the same bytes come of it again, else as " +
      "text or base64. They are those that the replicas hold that answer, each as it is when its page is read. Where one of them " +
      "cannot be read at any, it fails, unless --without-damaged is given."
  ),
  Command.withShortDescription("Exports records as lines of JSON"),
  Command.withExamples([
    { command: "quorum export --output all.jsonl", description: "All records, into a file" },
    { command: "quorum export photos | gzip > photos.jsonl.gz", description: "A namespace, packed" }
  ])
)

// ---------------------------------------------------------------------------------------------------------------------

interface Sink {
  readonly write: (text: string) => Effect.Effect<void, Failed>
  readonly done: Effect.Effect<void, Failed>
  /** What there is without `done`. */
  readonly left: string
}

const inPart = "the output is not whole"

const toStdout: Sink = {
  write: (text) => Effect.callback<void>((resume) => void process.stdout.write(text, () => resume(Effect.void))),
  done: Effect.void,
  left: inPart
}

const attempt = <A>(f: () => A): Effect.Effect<A, Failed> =>
  Effect.try({ try: f, catch: (error) => new Failed({ detail: `--output: ${Remote.messageOf(error)}` }) })

/**
 * A file beside the one that is asked for, which takes its place when all is in it and synced. What is there and is no
 * file, as a device or a pipe, is written to and stays what it is; where a link leads, the file is there afterwards.
 */
const toFile = Effect.fnUntraced(function* (output: string) {
  // A variable that nobody set: all would be read first, and then have no name.
  if (output === "") return yield* new Usage({ detail: "--output: it is empty; give a name" })
  const there = yield* attempt(() => statSync(output, { throwIfNoEntry: false }))
  const isPlain = there?.isFile() ?? true
  const path = there?.isFile() === true ? yield* attempt(() => realpathSync(output)) : output
  const opened = isPlain ? NewFile.partOf(path) : path
  const file = yield* Effect.acquireRelease(
    attempt(() => openSync(opened, "w")),
    (file) =>
      Effect.sync(() => {
        closeSync(file)
        if (isPlain) rmSync(opened, { force: true })
      })
  )
  const take = (): void => {
    fsyncSync(file)
    NewFile.take(opened, path)
  }
  const write = (text: string) => Effect.asVoid(attempt(() => writeAll(file, Buffer.from(text))))
  return isPlain
    ? ({ write, done: attempt(take), left: `${Progress.printable(output)} is as it was` } satisfies Sink)
    : ({ write, done: Effect.void, left: inPart } satisfies Sink)
})

const writeAll = (file: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at)
}
