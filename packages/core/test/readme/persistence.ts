import { KeyValueRecords } from "../../src/persistence.ts"
import { Layer } from "effect"
import { Persistence } from "effect/persistence"

/** The namespace `results` of a replica as Effect's `KeyValueStore`, and as its `Persistence`. */
export const store = KeyValueRecords.layer("results")
export const persistence = Persistence.layerKvs.pipe(Layer.provide(store))
