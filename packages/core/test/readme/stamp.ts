import { Entry, type QuorumWriter } from "@quorum/core"
import { Effect } from "effect"

type Writer = QuorumWriter.QuorumWriter["Service"]

/** Tries one replica and then another. However far the first try came, it is one write. */
export const writeOnce = (first: Writer, second: Writer) =>
  Effect.gen(function* () {
    const write = Entry.put("orders", "4711", "paid")
    const stamp = yield* first.stamp(write)
    return yield* Effect.catch(first.commit(write, { stamp }), () => second.commit(write, { stamp }))
  })
