/**
 * The promises that are looked at when a run has ended.
 */
import type { Evidence } from "../Evidence.ts"
import * as AckedIsDurable from "./AckedIsDurable.ts"
import * as AtomicEntries from "./AtomicEntries.ts"
import * as AtomicRegister from "./AtomicRegister.ts"
import * as Convergence from "./Convergence.ts"
import * as DecisionIsFinal from "./DecisionIsFinal.ts"
import * as LaterWins from "./LaterWins.ts"
import * as MembersOnly from "./MembersOnly.ts"
import * as NoPhantomAck from "./NoPhantomAck.ts"
import * as NoResurrection from "./NoResurrection.ts"
import * as NotWrittenMeansNever from "./NotWrittenMeansNever.ts"
import * as OnceByKey from "./OnceByKey.ts"
import * as OneEntryPerPlace from "./OneEntryPerPlace.ts"
import * as OrderFree from "./OrderFree.ts"
import * as Overlap from "./Overlap.ts"
import * as PrefixOrder from "./PrefixOrder.ts"
import * as ReadYourWrites from "./ReadYourWrites.ts"
import * as SessionOrder from "./SessionOrder.ts"

/** Looks whether a promise was kept, and says each time that it was not. */
export type Check = (evidence: Evidence) => ReadonlyArray<string>

/** The promises by their names. */
export const checks: Readonly<Record<string, Check>> = {
  AckedIsDurable: AckedIsDurable.check,
  NoPhantomAck: NoPhantomAck.check,
  MembersOnly: MembersOnly.check,
  DecisionIsFinal: DecisionIsFinal.check,
  PrefixOrder: PrefixOrder.check,
  Convergence: Convergence.check,
  NotWrittenMeansNever: NotWrittenMeansNever.check,
  NoResurrection: NoResurrection.check,
  OrderFree: OrderFree.check,
  ReadYourWrites: ReadYourWrites.check,
  OneEntryPerPlace: OneEntryPerPlace.check,
  LaterWins: LaterWins.check,
  AtomicRegister: AtomicRegister.check,
  Overlap: Overlap.check,
  AtomicEntries: AtomicEntries.check,
  OnceByKey: OnceByKey.check,
  SessionOrder: SessionOrder.check
}
