/**
 * Calls: attempts at one replica after another until one is answered, or there is no time left. What is decided in
 * between is in `Failover`.
 */
import { type Read, type Request, attempt } from "./Attempt.ts"
import * as Failover from "./Failover.ts"
import { millisOf, type Settings } from "./Options.ts"
import { QuorumError } from "./QuorumError.ts"
import * as Session from "./Session.ts"
import { onAbort } from "./Signals.ts"
import * as Turns from "./Turns.ts"

/** What any call may be given. */
export interface CallOptions {
  /** Gives up waiting; a write that was sent by then may take place all the same. */
  readonly signal?: AbortSignal | undefined
  /** How long it may take in all, in milliseconds, instead of what the client was made with. */
  readonly timeoutMillis?: number | undefined
}

/** How a call is made. */
export interface Call<A> {
  /** Made anew for each attempt: what was answered already need not be asked again. */
  readonly request: () => Request
  readonly read: Read<A>
  /** The stamp of the write that it sends; without one it writes nothing. */
  readonly stamp?: string | undefined
  /** An attempt has failed. */
  readonly onFailed?: (error: QuorumError) => void
}

/** Makes calls, on what it remembers of the replicas. */
export interface Calls {
  /** Fails with a `QuorumError`, or with the reason of the signal. */
  readonly call: <A>(call: Call<A>, options?: CallOptions) => Promise<A>
  /** Forgets what was done and seen: the next calls come after nothing. */
  readonly forget: () => void
}

/** Nothing is known of any replica yet. The one that is preferred is chosen by chance, so that clients spread. */
export const make = (settings: Settings): Calls => {
  const { urls } = settings
  const session = Session.make()
  const turns = Turns.make(maxRequests)
  const health: Array<Failover.Health> = urls.map(() => Failover.well)
  let preferred = Math.floor(Math.random() * urls.length)

  /** Remembers how an attempt went. */
  const remember = (replica: number, verdict: Failover.Verdict | "answered", begun: number): void => {
    if (verdict === "rest") {
      health[replica] = Failover.failed(health[replica]!, { begun, now: performance.now() }, Math.random())
      return
    }
    health[replica] = Failover.well
    if (verdict === "answered") preferred = replica
  }

  const call = async <A>({ onFailed, read, request, stamp }: Call<A>, options: CallOptions = {}): Promise<A> => {
    const { signal } = options
    const timeoutMillis = millisOf("timeoutMillis", options.timeoutMillis ?? settings.timeoutMillis)
    const deadline = performance.now() + timeoutMillis
    let history: Failover.History | undefined
    let tried = new Set<number>()
    for (let rounds = 1; ;) {
      const done = await turns.take(1, deadline - performance.now(), signal)
      if (done === undefined) throw Failover.conclude(history, stamp)
      // Whom to ask is chosen in its turn: others may have learnt meanwhile who does not answer.
      const now = performance.now()
      const choice = Failover.choose({ health, now, preferred, tried })
      const restMillis = choice?.afterMillis ?? Failover.pauseMillis(rounds, Math.random())
      // Who has asked nobody yet does so: that others had no answer a while ago is none.
      const waitMillis = history === undefined && now + restMillis >= deadline ? 0 : restMillis
      const latest = Failover.latest(deadline, history)
      if (choice === undefined || waitMillis > 0 || now >= latest) {
        done()
        if (now + waitMillis >= latest) throw Failover.conclude(history, stamp)
        await pause(waitMillis, signal)
        if (choice !== undefined) continue
        if (history !== undefined && Failover.verdictOf(history.last) === "once") throw history.last
        tried = new Set()
        rounds++
        continue
      }
      tried.add(choice.replica)
      try {
        const limits = { millis: deadline - now, signal }
        const answer = await attempt(settings, urls[choice.replica]!, request(), read, limits, session)
        remember(choice.replica, "answered", now)
        return answer
      } catch (error) {
        // Who gives up says nothing of the replica.
        if (signal?.aborted === true) throw signal.reason
        if (!(error instanceof QuorumError)) throw error
        const verdict = Failover.verdictOf(error)
        remember(choice.replica, verdict, now)
        history = Failover.recorded(history, error, stamp !== undefined)
        onFailed?.(error)
        if (verdict === "final") throw Failover.conclude(history, stamp)
      } finally {
        done()
      }
    }
  }

  return { call, forget: session.forget }
}

/** The most requests that are under way: each has a connection of its own, and of those a replica has only so many. */
const maxRequests = 128

/** Waits. Fails with the reason of the signal. */
export const pause = (millis: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    const forget = onAbort(signal, () => {
      clearTimeout(timer)
      reject(signal?.reason)
    })
    const timer = setTimeout(() => {
      forget()
      resolve()
    }, millis)
  })
