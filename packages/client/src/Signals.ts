/**
 * Who is told that a signal is aborted. However many calls were given one signal, it has one listener: of more than ten Node
 * 20 warns that they may be a leak, and one batch has as many as it has writes.
 */

/** Calls `tell` when the signal is aborted. Returns what takes that back. */
export const onAbort = (signal: AbortSignal | undefined, tell: () => void): (() => void) => {
  if (signal === undefined) return () => {}
  const { listener, told } = listening.get(signal) ?? listen(signal)
  told.add(tell)
  return () => {
    if (!told.delete(tell) || told.size > 0) return
    listening.delete(signal)
    signal.removeEventListener("abort", listener)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** The listener of a signal, and whom it tells. */
interface Listening {
  readonly listener: () => void
  readonly told: Set<() => void>
}

const listening = new WeakMap<AbortSignal, Listening>()

const listen = (signal: AbortSignal): Listening => {
  const told = new Set<() => void>()
  const listener = (): void => {
    listening.delete(signal)
    for (const tell of told) tell()
  }
  const made = { listener, told }
  listening.set(signal, made)
  signal.addEventListener("abort", listener, { once: true })
  return made
}
