/**
 * The answer to a request that no endpoint has dealt with, in the shape that all errors have.
 */
import { Problem } from "@quorum/core/adapter"

/** Makes the answer. `error` is what a program branches on, `message` is for people, `rest` is what else is known. */
export const { make } = Problem
