/**
 * The value of a record as an answer: its type, and the tag by which a client knows whether it has it already.
 */
import type { Records } from "@quorum/core"
import { HttpServerResponse } from "effect/http"
import { HttpApiSchema } from "effect/http-api"

/** What is kept of the type that a value was sent with: nothing where that says nothing. */
export const typeOf = (type: string | undefined): { readonly contentType?: string } =>
  type === undefined || type === usualType ? {} : { contentType: type }

/** The value, or that it is the one that the client has: one of the tags that it names (RFC 9110, section 13.1.2). */
export const answer = ({ contentType, value, writeId }: Records.Record, ifNoneMatch: string | undefined) => {
  const headers = { "quorum-write-id": writeId, etag: `"${writeId}"` }
  if (ifNoneMatch !== undefined && names(ifNoneMatch, headers.etag)) {
    return HttpServerResponse.empty({ status: 304, headers })
  }
  if (contentType === undefined) return HttpApiSchema.withHeaders({ body: value, headers })
  // A browser that is led here must not take a value for a page of this origin, whatever its writer said that it is.
  return HttpServerResponse.uint8Array(value, { contentType, headers: { ...headers, ...inert } })
}

// ---------------------------------------------------------------------------------------------------------------------

const usualType = "application/octet-stream"

const inert = { "x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox" }

const names = (list: string, tag: string): boolean =>
  list.split(",").some((each) => ["*", tag, `W/${tag}`].includes(each.trim()))
