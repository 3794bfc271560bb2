/**
 * The suite of the store port: what every `ReplicaStore` has to do. `RecordIndexConformance` is that of the index.
 *
 * It opens a store again in the process that wrote, so it cannot tell a sync from none: a store whose `sync` only says that
 * it has synced passes. What is left to try by the author of a store, because only there its files are seen:
 *
 * - a power loss: of what was written since the last sync that ended, any part is on the disk, also a part of one write;
 *   all that was acknowledged has to be there, and nothing that was never written. Of every call that is durable when
 *   it returns: `append`, `steps.sync`, `replace`, `cut`, `setNotes` and `renew`;
 * - a process that is killed while it appends;
 * - a sync that fails: `uncertain` for all who wait for it, `unavailable` from then on, and the doubt `sync_failed` at the
 *   next start.
 */
import type { Layer } from "effect"
import * as Conformance from "./Conformance.ts"
import * as Append from "./internal/store/append.ts"
import * as Changing from "./internal/store/changing.ts"
import * as Damage from "./internal/store/damage.ts"
import * as Mending from "./internal/store/mending.ts"
import * as Notes from "./internal/store/notes.ts"
import * as Place from "./internal/store/place.ts"
import * as Read from "./internal/store/read.ts"
import * as Replacing from "./internal/store/replacing.ts"
import * as Steps from "./internal/store/steps.ts"
import type { StorePlace } from "./StorePlace.ts"

/** The cases, as data: run one by itself with `Conformance.run`. */
export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [
  ...Append.cases,
  ...Steps.cases,
  ...Read.cases,
  ...Place.cases,
  ...Notes.cases,
  ...Replacing.cases,
  ...Damage.cases,
  ...Mending.cases,
  ...Changing.cases
]

/**
 * The names of the cases that need a place whose entries can be damaged. Where that cannot be done they are skipped:
 * `needDamage.map((name) => ({ case: name, reason: "…" }))`.
 */
export const needDamage: ReadonlyArray<string> = [...Damage.cases, ...Mending.cases, ...Changing.cases].map(
  ({ name }) => name
)

/** Registers the suite with vitest. The layer makes a new, empty place for every case. */
export const suite = <E>(name: string, layer: Layer.Layer<StorePlace, E>, options?: Conformance.Options): void =>
  Conformance.register(name, cases, layer, options)
