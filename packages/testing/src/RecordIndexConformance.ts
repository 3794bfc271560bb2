/**
 * The suite of the index port: what every `RecordIndex` has to do, beside the store of the same place.
 */
import type { Layer } from "effect"
import * as Conformance from "./Conformance.ts"
import * as Damage from "./internal/store/indexDamage.ts"
import * as Index from "./internal/store/recordIndex.ts"
import type { StorePlace } from "./StorePlace.ts"

/** The cases, as data: run one by itself with `Conformance.run`. */
export const cases: ReadonlyArray<Conformance.Case<StorePlace>> = [...Index.cases, ...Damage.cases]

/**
 * The names of the cases that need a place whose index can be damaged. Where that cannot be done they are skipped:
 * `needDamage.map((name) => ({ case: name, reason: "…" }))`.
 */
export const needDamage: ReadonlyArray<string> = Damage.cases.map(({ name }) => name)

/** Registers the suite with vitest. The layer makes a new, empty place for every case. */
export const suite = <E>(name: string, layer: Layer.Layer<StorePlace, E>, options?: Conformance.Options): void =>
  Conformance.register(name, cases, layer, options)
