/**
 * The lines of a batch, as the writes that they are. Pure.
 */
import { Entry, StampToken } from "@quorum/core"
import { Predicate, Result, Schema } from "effect"
import { InvalidRequest } from "./ApiErrors.ts"
import * as Base64 from "./base64.ts"
import { BatchLine } from "./BatchApi.ts"
import { mayBeRounded } from "./jsonNumbers.ts"
import { invalid } from "./requestLines.ts"
import { isPathName } from "./RequestRules.ts"

/** A write, and the stamp that its line says. */
export interface Line {
  readonly write: Entry.Write
  readonly stamp: StampToken.StampToken | undefined
}

/** A line: its write, and the stamp of that. What is wrong with it the schema says, or that nobody could read it. */
export const lineOf = (json: unknown): Result.Result<Line, InvalidRequest> => {
  const usual = usualLine(json)
  const read = usual === undefined ? decoded(json) : Result.succeed(usual)
  const wrong = Result.isSuccess(read) ? (unnameableIn(read.success.write) ?? roundedIn(json)) : undefined
  return wrong === undefined ? read : Result.fail(wrong)
}

// ---------------------------------------------------------------------------------------------------------------------

/** What is wrong with a put of a name that no path can have. What is there by other ways can be deleted. */
const unnameableIn = ({ key, kind, namespace }: Entry.Write): InvalidRequest | undefined => {
  if (kind === "delete" || (isPathName(namespace) && isPathName(key))) return undefined
  const field = isPathName(namespace) ? "key" : "namespace"
  const detail = "`.` and `..` cannot be part of a path, so nobody could read it by its name; choose another one"
  return new InvalidRequest({ field, detail })
}

/** What is wrong with a value that is not what was sent any more. */
const roundedIn = (line: unknown): InvalidRequest | undefined =>
  Predicate.hasProperty(line, "json") && mayBeRounded(line.json)
    ? invalid(
        "`json` has a number of more digits than are kept; send the value as `text`, with application/json as `contentType`"
      )
    : undefined

const jsonType = "application/json"

const decode = Schema.decodeUnknownResult(BatchLine, { onExcessProperty: "error" })

const decoded = (json: unknown): Result.Result<Line, InvalidRequest> =>
  Result.mapBoth(decode(json), {
    onFailure: ({ message }) => invalid(message),
    onSuccess: (line) => ({ write: writeOf(line), stamp: line.stamp })
  })

/**
 * A line as most are, which is one for the schema too: names, a value in base64, as text or as JSON, and perhaps a stamp.
 * What was parsed is JSON: to go through all of it again could take long.
 */
const usualLine = (json: unknown): Line | undefined => {
  if (typeof json !== "object" || json === null) return undefined
  const { contentType, json: inner, key, namespace, stamp, text, value } = json as Readonly<Record<string, unknown>>
  if (typeof namespace !== "string" || typeof key !== "string") return undefined
  if (stamp !== undefined && !StampToken.is(stamp)) return undefined
  if (contentType !== undefined && typeof contentType !== "string") return undefined
  const optional = (stamp === undefined ? 0 : 1) + (contentType === undefined ? 0 : 1)
  if (Object.keys(json).length !== 3 + optional) return undefined
  const type = contentType === undefined ? {} : { contentType }
  if (inner !== undefined) return { write: jsonWrite(namespace, key, inner, type), stamp }
  const bytes = text === undefined ? bytesOf(value) : wellFormed(text)
  return bytes === undefined ? undefined : { write: Entry.put(namespace, key, bytes, type), stamp }
}

const bytesOf = (value: unknown): Uint8Array | undefined =>
  typeof value === "string" ? Base64.decode(value) : undefined

const wellFormed = (text: unknown): string | undefined =>
  typeof text === "string" && text.isWellFormed() ? text : undefined

/** What JSON cannot say otherwise it says by escapes, a lone surrogate too. */
const jsonWrite = (namespace: string, key: string, json: unknown, type: { readonly contentType?: string }) =>
  Entry.put(namespace, key, JSON.stringify(json), { contentType: jsonType, ...type })

const writeOf = ({ contentType, json, key, namespace, text, value }: typeof BatchLine.Type): Entry.Write => {
  const type = contentType === undefined ? {} : { contentType }
  if (value !== undefined) return Entry.put(namespace, key, value, type)
  if (text !== undefined) return Entry.put(namespace, key, text, type)
  if (json !== undefined) return jsonWrite(namespace, key, json, type)
  // A delete has no value, and so no type: core says so.
  return { ...Entry.remove(namespace, key), ...type }
}
