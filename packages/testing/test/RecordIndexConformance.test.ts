import { RecordIndexConformance } from "../src/index.ts"
import "./readme/recordIndex.ts"
import * as MemoryPlace from "./support/memoryPlace.ts"

RecordIndexConformance.suite("the index in memory", MemoryPlace.place())
