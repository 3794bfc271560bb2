/**
 * The records of a replica within this program, and their keys, page after page by `for await`.
 */
import { QuorumRecord, StoreFailed } from "@quorum/client"
import type { Records } from "@quorum/core"
import { type Effect, Option } from "effect"
import type { ListOptions } from "./OpenReplica.ts"
import type { Run } from "./ReplicaWatch.ts"

/** Reads a namespace as it is held here. Ends with the reason of the signal, or with what `run` rejects with. */
export const make = (records: Records.Records["Service"], run: Run) => {
  /** Page after page, as they are taken, with nothing missing on any. */
  const pages = async function* <A extends AnyPage>(
    pageOf: (options: Records.PageOptions) => Effect.Effect<A, Records.PageError>,
    namespace: string,
    { prefix, reverse, signal }: ListOptions
  ): AsyncGenerator<A, void> {
    let after: Records.PageOptions["after"]
    do {
      const part = {
        namespace,
        limit: pageSize,
        ...(prefix === undefined ? {} : { prefix }),
        ...(reverse === undefined ? {} : { reverse })
      }
      const page: A = await run(pageOf({ ...part, ...(after === undefined ? {} : { after }) }), signal)
      if ((page.damaged?.length ?? 0) + page.unreadable.length > 0) throw unreadable
      yield page
      after = Option.getOrUndefined(page.next)
    } while (after !== undefined)
  }

  const list = async function* (namespace: string, options: ListOptions = {}) {
    for await (const page of pages(records.page, namespace, options)) {
      for (const record of page.records) {
        options.signal?.throwIfAborted()
        yield recordOf(record)
      }
    }
  }

  const keys = async function* (namespace: string, options: ListOptions = {}) {
    for await (const page of pages(records.keys, namespace, options)) {
      for (const { key } of page.keys) {
        options.signal?.throwIfAborted()
        yield key
      }
    }
  }

  return { list, keys }
}

/** A record, as clients have it. */
export const recordOf = ({ contentType, key, namespace, value, writeId }: Records.Record): QuorumRecord =>
  new QuorumRecord({ namespace, key, contentType, writeId, bytes: new Uint8Array(value) })

// ---------------------------------------------------------------------------------------------------------------------

const pageSize = 1000

/** What pages of records and of keys have in common. */
interface AnyPage extends Pick<Records.KeysPage, "next" | "unreadable"> {
  readonly damaged?: Records.Page["damaged"]
}

const unreadable = new StoreFailed({
  message: "this replica holds records that it cannot read; ask another one",
  reason: "corrupt"
})
