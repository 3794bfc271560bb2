/**
 * `quorum put`, `get` and `del`: single records.
 */
import { readFileSync } from "node:fs"
import { Console, Effect, Option, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import type { QuorumRecord, Receipt } from "@quorum/client"
import { printable } from "../tools/Progress.ts"
import { Ended, leaving, Usage } from "./Ending.ts"
import * as Whole from "../tools/Whole.ts"
import * as Remote from "./remote.ts"

const namespace = Argument.String("namespace").pipe(Argument.withDescription("The namespace of the record"))
const key = Argument.String("key").pipe(Argument.withDescription("Its key"))

/** How many replicas have to hold a write, instead of what the policy says. */
export const w = Whole.flag("w", 1, 255).pipe(
  Flag.withMetavar("N"),
  Flag.withDescription("How many replicas have to hold it (default: as the policy says)"),
  Flag.optional
)

const stamp = Flag.String("stamp").pipe(
  Flag.withMetavar("STAMP"),
  Flag.withDescription("Sends a write again whose outcome is not known; it stays one write"),
  Flag.optional
)

const writing = { w, stamp }

/** `quorum put`. */
export const put = Command.make(
  "put",
  {
    namespace,
    key,
    value: Argument.String("value").pipe(
      Argument.withDescription("The value as text; - reads it from standard input"),
      Argument.optional
    ),
    file: Flag.String("file").pipe(
      Flag.withMetavar("FILE"),
      Flag.withDescription("The value is what is in FILE"),
      Flag.optional
    ),
    contentType: Flag.String("content-type").pipe(
      Flag.withMetavar("TYPE"),
      Flag.withDescription(
        "What the value is (default: text/plain for text that is given as an argument, else nothing)"
      ),
      Flag.optional
    ),
    ...writing,
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ contentType, file, key, namespace, value, ...given }) {
    const content = yield* valueOf(value, file)
    const remote = yield* Remote.connect(given)
    const options = { ...optionsOf(given), ...defined({ contentType: Option.getOrUndefined(contentType) }) }
    const receipt = yield* Remote.ask(given, (signal) =>
      remote.client.put(namespace, key, content, { ...options, signal })
    ).pipe(leaving(given.json, mayBeSent))
    yield* Console.log(receiptText(receipt, given.json))
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Writes a record, and answers when enough replicas hold it durably. It is one write, at however many replicas it has to be tried."
  ),
  Command.withShortDescription("Writes a record"),
  Command.withExamples([
    { command: "quorum put greetings first hello", description: "Text" },
    { command: "quorum put photos cat --file cat.jpg --content-type image/jpeg", description: "A file" },
    { command: "date | quorum put notes now -", description: "What another command says" },
    { command: "quorum put notes -- -1 -2", description: "A key and a value that begin with -" }
  ])
)

/** `quorum get`. */
export const get = Command.make(
  "get",
  {
    namespace,
    key,
    consistency: Flag.Literals("consistency", ["local", "quorum", "linearizable"]).pipe(
      Flag.withDescription(
        "Whom to ask: one replica, several, or a majority, of which the last is what everybody was told (default: quorum)"
      ),
      Flag.withDefault("quorum" as const)
    ),
    r: Whole.flag("r", 1, 255).pipe(
      Flag.withMetavar("N"),
      Flag.withDescription("How many replicas a quorum read asks (default: a majority)"),
      Flag.optional
    ),
    atLeast: Flag.String("at-least").pipe(
      Flag.withMetavar("WRITE_ID"),
      Flag.withDescription("Wait until this write is visible"),
      Flag.optional
    ),
    ...Remote.flags
  },
  Effect.fnUntraced(function* ({ atLeast, consistency, key, namespace, r, ...given }) {
    const remote = yield* Remote.connect(given)
    const options = defined({
      consistency,
      r: Option.getOrUndefined(r),
      atLeast: Option.getOrUndefined(atLeast)
    })
    const record = yield* Remote.ask(given, (signal) => remote.client.get(namespace, key, { ...options, signal }))
    if (record === undefined) {
      const message = `there is no record ${JSON.stringify(key)} in ${JSON.stringify(namespace)}`
      yield* Console.error(given.json ? JSON.stringify({ error: "not_found", message, namespace, key }) : message)
      return yield* new Ended({ code: 1 })
    }
    if (given.json) return yield* Console.log(JSON.stringify(lineOf(record)))
    yield* write(record.bytes)
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Reads a record: its bytes go to standard output as they are. Exit code 1 when there is none."
  ),
  Command.withShortDescription("Reads a record"),
  Command.withExamples([
    { command: "quorum get greetings first", description: "Print a value" },
    {
      command: "quorum get config flags --consistency linearizable --json",
      description: "The newest that anybody was told"
    }
  ])
)

/** `quorum del`. */
export const del = Command.make(
  "del",
  { namespace, key, ...writing, ...Remote.flags },
  Effect.fnUntraced(function* ({ key, namespace, ...given }) {
    const remote = yield* Remote.connect(given)
    const receipt = yield* Remote.ask(given, (signal) =>
      remote.client.delete(namespace, key, { ...optionsOf(given), signal })
    ).pipe(leaving(given.json, mayBeSent))
    yield* Console.log(receiptText(receipt, given.json))
  }, Effect.scoped)
).pipe(
  Command.withDescription("Deletes a record: a write like any other, whether the record is there or not."),
  Command.withShortDescription("Deletes a record"),
  Command.withExamples([{ command: "quorum del greetings first", description: "Delete a record" }])
)

/** A receipt as a line for people, or as JSON. */
export const receiptText = (receipt: Receipt, json: boolean): string =>
  json
    ? JSON.stringify(receipt)
    : `committed as ${receipt.writeId} on ${receipt.acked.map(({ replica }) => replica).join(" and ")}, ` +
      `${receipt.acked.length} of ${receipt.policy.n}, in ${receipt.durationMillis.toFixed(1)} ms`

/** A record as a line that `quorum import` takes. */
export const lineOf = ({ bytes, contentType, key, namespace, writeId }: QuorumRecord) => {
  const type = contentType === undefined ? {} : { contentType }
  const text = shortTextOf(bytes)
  const json = contentType === "application/json" && text !== undefined ? exactJson(text) : undefined
  if (json !== undefined) return { namespace, key, json: json.value, writeId }
  return {
    namespace,
    key,
    ...(text === undefined ? { base64: Buffer.from(bytes).toString("base64") } : { text }),
    ...type,
    writeId
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** What is given, without what is not. */
const mayBeSent = Effect.succeed({ message: "the write may have been sent, and takes place then all the same" })

const defined = <A extends object>(options: A): { [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never

const optionsOf = ({ stamp, w }: { readonly w: Option.Option<number>; readonly stamp: Option.Option<string> }) =>
  defined({ w: Option.getOrUndefined(w), stamp: Option.getOrUndefined(stamp) })

const valueOf = Effect.fnUntraced(function* (value: Option.Option<string>, file: Option.Option<string>) {
  if (Option.isSome(value) && Option.isSome(file)) {
    return yield* new Usage({ detail: "value: it is given as an argument and by --file; give one of them" })
  }
  if (Option.isNone(value) && Option.isNone(file)) {
    return yield* new Usage({ detail: "value: give it as an argument, as - for standard input, or by --file" })
  }
  if (Option.isSome(file)) {
    return yield* Effect.try({
      try: () => new Uint8Array(readFileSync(file.value)),
      catch: (error) => new Usage({ detail: `--file: ${Remote.messageOf(error)}` })
    })
  }
  const text = Option.getOrThrow(value)
  return text === "-" ? yield* input : text
})

/** All of standard input, however late it comes. */
export const input = Effect.flatMap(Stdio.Stdio, ({ stdin }) =>
  Stream.runFold(
    stdin,
    () => Array<Uint8Array>(),
    (chunks, chunk) => {
      chunks.push(chunk)
      return chunks
    }
  )
).pipe(
  Effect.map((chunks) => new Uint8Array(Buffer.concat(chunks))),
  Effect.mapError((error) => new Usage({ detail: `standard input cannot be read: ${error.message}` }))
)

/** Bytes as they are; on a terminal what would move the cursor is shown, and a line is ended. */
const write = (bytes: Uint8Array) =>
  Effect.callback<void>((resume) => {
    const done = (): void => resume(Effect.void)
    if (!process.stdout.isTTY) return void process.stdout.write(bytes, done)
    const text = textOf(bytes)
    const shown = text === undefined ? `${bytes.length} bytes that are no text` : printable(text)
    process.stdout.write(shown.endsWith("\n") ? shown : `${shown}\n`, done)
  })

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** Bytes as text, unless escapes would make a line of them that is much longer than they are. */
const shortTextOf = (bytes: Uint8Array): string | undefined => {
  const text = textOf(bytes)
  return text === undefined || JSON.stringify(text).length > 2 * bytes.length + 64 ? undefined : text
}

/** What text says as JSON, where the same text is made of it again. */
const exactJson = (text: string): { readonly value: unknown } | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return JSON.stringify(value) === text ? { value } : undefined
  } catch {
    return undefined
  }
}
