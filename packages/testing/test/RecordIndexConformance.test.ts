import { RecordIndexConformance } from "../src/index.ts"
import * as MemoryPlace from "./support/memoryPlace.ts"

RecordIndexConformance.suite("the index in memory", MemoryPlace.place())
