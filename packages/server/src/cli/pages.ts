/**
 * All records, or their keys, page after page: whoever answers them, since a page says by names where it ends.
 */
import { QuorumRecord } from "@quorum/client"
import { Effect, Option, Stream } from "effect"
import { Usage } from "./Ending.ts"
import * as Remote from "./remote.ts"

/** Which records: those of a namespace, whose keys may have a prefix, or all. */
export interface Part {
  readonly namespace?: string | undefined
  readonly prefix?: string | undefined
  readonly reverse?: boolean
  /** Is told what of a page no replica can read that answers, which is left out then. Unless given, such a page fails. */
  readonly onDamaged?: ((damaged: Damaged) => void) | undefined
}

/** Records that cannot be read, and entries that cannot be read and of which nobody knows the records. */
export interface Damaged {
  readonly damaged?: ReadonlyArray<{ readonly namespace: string; readonly key: string }>
  readonly unreadable: ReadonlyArray<{ readonly log: string; readonly from: number; readonly to: number }>
}

/** Records by pages. Fails with what the last replica answered when none has a whole page. */
export const records = (remote: Remote.Remote, given: Remote.Given, part: Part) =>
  pages(remote, given, "records", part).pipe(
    Stream.map(({ records = [] }) =>
      records.map(
        ({ value, ...record }) =>
          new QuorumRecord({ contentType: undefined, ...record, bytes: new Uint8Array(Buffer.from(value, "base64")) })
      )
    )
  )

/** Keys of a namespace by pages. */
export const keys = (remote: Remote.Remote, given: Remote.Given, part: Part & { readonly namespace: string }) =>
  pages(remote, given, "keys", part).pipe(Stream.map(({ keys = [] }) => keys))

// ---------------------------------------------------------------------------------------------------------------------

interface Page extends Damaged {
  readonly records?: ReadonlyArray<{
    readonly namespace: string
    readonly key: string
    readonly value: string
    readonly contentType?: string
    readonly writeId: string
  }>
  readonly keys?: ReadonlyArray<{ readonly namespace: string; readonly key: string }>
  readonly next?: string
}

const pages = (remote: Remote.Remote, given: Remote.Given, what: "records" | "keys", part: Part) => {
  const { namespace, onDamaged, prefix, reverse } = part
  if (namespace !== undefined && unnameable.includes(namespace)) {
    return Stream.fail(
      new Usage({ detail: 'namespace: "", "." and ".." cannot be named in a url; all records can be listed' })
    )
  }
  const path = `/v1/${what}${namespace === undefined ? "" : `/${encodeURIComponent(namespace)}`}`
  return Stream.paginate(undefined as string | undefined, (after) => {
    const query = new URLSearchParams({ limit: String(pageSize) })
    if (prefix !== undefined) query.set("prefix", prefix)
    if (reverse === true) query.set("reverse", "true")
    if (after !== undefined) query.set("after", after)
    return Effect.map(
      pageOf(remote, given, what, `${path}?${query}`, onDamaged),
      (page) => [[page], Option.fromUndefinedOr(page.next)] as const
    )
  })
}

/** A page of which nothing is missing, from the first replica that has it; one with damage where that is told. */
const pageOf = (
  remote: Remote.Remote,
  given: Remote.Given,
  what: "records" | "keys",
  path: string,
  onDamaged: Part["onDamaged"]
) =>
  Remote.ask(given, async (signal): Promise<Page> => {
    const deadline = performance.now() + given.timeout * 1000
    for (let round = 0; ; round++) {
      let last: unknown
      let inPart: Page | undefined
      for (const [i, url] of remote.urls.entries()) {
        // One that hangs leaves the others their time.
        const share = Math.max(Remote.firstMillis(given), (deadline - performance.now()) / (remote.urls.length - i))
        const limit = AbortSignal.timeout(Math.ceil(Math.min(attemptMillis, share)))
        try {
          const answer = await remote.fetch(`${url}${path}`, {
            signal: AbortSignal.any([signal, limit])
          })
          if (!answer.ok) throw await Remote.answered(answer, url)
          const body = await Remote.jsonOf<Page>(answer, url, what, "unreadable")
          if ((body.damaged ?? []).length > 0 || body.unreadable.length > 0) {
            inPart ??= body
            throw new Error("it holds records that it cannot read; quorum doctor says more")
          }
          return body
        } catch (error) {
          if (signal.aborted || (error instanceof Remote.Answered && error.isFinal)) throw error
          last = Remote.unanswered(url, error)
        }
      }
      if (inPart !== undefined && onDamaged !== undefined) {
        onDamaged(inPart)
        return inPart
      }
      if (performance.now() > deadline) throw last
      await new Promise((resolve) => setTimeout(resolve, Math.min(1000, 50 * 2 ** round)))
    }
  })

const unnameable = ["", ".", ".."]
const attemptMillis = 10_000
const pageSize = 1000
