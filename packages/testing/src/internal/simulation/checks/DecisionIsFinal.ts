/** DecisionIsFinal: met stays met, and what came after the deadline has met nothing. */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ history }: Evidence): ReadonlyArray<string> =>
  History.committed(history).flatMap(({ id, slowestMillis }) =>
    slowestMillis <= ackTimeoutMillis
      ? []
      : [`operation ${id} counts an ack that came ${slowestMillis.toFixed(1)} ms after it was waited for`]
  )

/** What a policy says that says nothing else. */
const ackTimeoutMillis = 2000
