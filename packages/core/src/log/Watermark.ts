/**
 * "I hold log L durably up to sequence S, and the chain checksum there is C": the one number per log that an ack, a
 * handshake and catch-up are made of. A version vector is a set of watermarks, one per log.
 */
import { Schema } from "effect"
import * as Chain from "./Chain.ts"
import * as LogId from "../identity/LogId.ts"

/** How far a replica durably holds a log. */
export const Watermark = Schema.Struct({ log: LogId.LogId, seq: LogId.Sequence, chain: Chain.Chain })

/** How far a replica durably holds a log. */
export type Watermark = typeof Watermark.Type

/** One watermark per log that a replica holds. */
export const VersionVector = Schema.Array(Watermark)

/** One watermark per log that a replica holds. */
export type VersionVector = typeof VersionVector.Type

/** The watermark of a log of which nothing is held. */
export const none = (log: LogId.LogId): Watermark => ({ log, seq: 0, chain: Chain.empty })
