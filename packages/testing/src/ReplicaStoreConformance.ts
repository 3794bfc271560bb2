/**
 * The suite of the store port: what every `ReplicaStore` has to do. `RecordIndexConformance` is that of the index.
 */
import type { Layer } from "effect"
import * as Conformance from "./Conformance.ts"
import * as Append from "./internal/store/append.ts"
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
  ...Mending.cases
]

/**
 * The names of the cases that need a place whose entries can be damaged. Where that cannot be done they are skipped:
 * `needDamage.map((name) => ({ case: name, reason: "…" }))`.
 */
export const needDamage: ReadonlyArray<string> = [...Damage.cases, ...Mending.cases].map(({ name }) => name)

/** Registers the suite with vitest. The layer makes a new, empty place for every case. */
export const suite = <E>(name: string, layer: Layer.Layer<StorePlace, E>, options?: Conformance.Options): void =>
  Conformance.register(name, cases, layer, options)
