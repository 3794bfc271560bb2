/** NoPhantomAck: nobody is counted who did not durably append exactly that entry. */
import type { Evidence } from "../Evidence.ts"
import * as History from "../History.ts"

export const check = ({ history, holdings, lost }: Evidence): ReadonlyArray<string> =>
  History.committed(history).flatMap(({ acked, id, writeId }) => {
    const held = new Set(
      [...Array.from(holdings, ([machine, holding]) => ({ machine, holding })), ...lost]
        .filter(({ holding }) => holding.has(writeId!))
        .map(({ machine }) => machine.id)
    )
    const phantoms = acked.filter((replica) => !held.has(replica))
    return phantoms.length === 0
      ? []
      : [`operation ${id} counts ${phantoms.join(", ")} for ${writeId}, which never held it`]
  })
