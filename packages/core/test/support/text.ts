/** What a record holds, as text. */
import { Option } from "effect"
import type { Records } from "../../src/index.ts"

export const text = (record: Option.Option<Records.Record>) =>
  Option.getOrUndefined(Option.map(record, ({ value }) => new TextDecoder().decode(value)))
