/**
 * Parts of all records: which keys are meant, and what cannot be meant. Pure.
 */
import type { NamespacesOptions, PageOptions, Part } from "../Pages.ts"
import { ReadRejected } from "../ReadRejected.ts"
import * as RecordKey from "../RecordKey.ts"

/** The keys that are meant. */
export const rangeOf = ({ from, namespace, prefix, to }: Part): RecordKey.Range => {
  if (namespace === undefined) return {}
  return RecordKey.common(RecordKey.rangeOf(namespace, prefix), {
    from: from === undefined ? undefined : { namespace, key: from },
    to: to === undefined ? undefined : { namespace, key: to }
  })
}

/** What cannot be meant. A page of no keys would say that there are no more. */
export const faultOfPage = ({ after, limit, reverse, ...part }: PageOptions): ReadRejected | undefined => {
  const fault = faultOfLimit(limit) ?? faultOf(part)
  if (fault !== undefined) return fault
  if (reverse !== undefined && typeof reverse !== "boolean") return rejected("reverse", "it is neither true nor false")
  if (after === undefined) return undefined
  if (!RecordKey.isWellFormed(after)) return rejected("after", "it is not the key of a record")
  return RecordKey.isWithin(rangeOf(part), after)
    ? undefined
    : rejected("after", "it is not the key of a record of this part")
}

/** What cannot be asked of the namespaces. */
export const faultOfNamespaces = ({
  after,
  limit
}: {
  readonly after: NamespacesOptions["after"] | undefined
  readonly limit: number
}): ReadRejected | undefined =>
  faultOfLimit(limit) ??
  (after === undefined || isName(after) ? undefined : rejected("after", "it is not the name of a namespace"))

/** A value for a message. */
export const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value) : typeof value === "number" ? `${value}` : typeof value

/** Whether a namespace can have this name. */
export const isName = (namespace: unknown): boolean =>
  typeof namespace === "string" && namespace !== "" && RecordKey.isWellFormed({ namespace, key: "" })

// ---------------------------------------------------------------------------------------------------------------------

const rejected = (field: ReadRejected["field"], detail: string) => new ReadRejected({ field, detail })

const isText = (key: unknown): boolean => RecordKey.isWellFormed({ namespace: "", key: key as string })

const faultOfLimit = (limit: number): ReadRejected | undefined =>
  Number.isInteger(limit) && limit >= 1 ? undefined : rejected("limit", `${shown(limit)} is not a number, 1 or more`)

const faultOf = ({ from, namespace, prefix, to }: Part): ReadRejected | undefined => {
  if (namespace !== undefined && !isName(namespace)) return rejected("namespace", "it is not the name of a namespace")
  for (const [field, text] of Object.entries({ prefix, from, to } as const)) {
    const name = field as "prefix" | "from" | "to"
    if (text !== undefined && !isText(text)) return rejected(name, "it is not what a key may begin with")
    if (text !== undefined && namespace === undefined) return rejected(name, "it needs a namespace")
  }
  if (from === undefined || to === undefined) return undefined
  return RecordKey.compare({ namespace: "", key: from }, { namespace: "", key: to }) <= 0
    ? undefined
    : rejected("to", "it comes before `from`, by the bytes of both")
}
