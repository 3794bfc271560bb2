/**
 * Why the write of a stamp is not made, and how that travels.
 */
import { QuorumError, WriteId } from "@quorum/core"
import { Schema } from "effect"
import { travel } from "./ErrorTravel.ts"

/** The stamp is another write's. */
export const stampReused = travel(
  QuorumError.StampReused,
  "stamp_reused",
  { held: WriteId.WriteId },
  (body) => new QuorumError.StampReused(body)
)

/** The stamp is older than what can be known. */
export const tooOldToKnow = travel(
  QuorumError.TooOldToKnow,
  "too_old_to_know",
  { ageMillis: Schema.Finite, horizonMillis: Schema.Finite },
  (body) => new QuorumError.TooOldToKnow(body)
)
