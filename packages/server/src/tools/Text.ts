/**
 * How numbers and times are shown.
 */

/** A count with commas. */
export const number = (value: number): string => value.toLocaleString("en-US")

/** Milliseconds as seconds. */
export const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
