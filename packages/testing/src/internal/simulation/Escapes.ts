/**
 * What would make a run depend on more than its seed: the time, the chance and the timers of the host. They throw while
 * a run lasts, and the place is named.
 */

/** Something that a run must not use was used. */
export interface Escape {
  /** What was used, for example `Math.random`. */
  readonly used: string
  /** Where, as a line of a stack. */
  readonly place: string
}

interface Trap {
  readonly holder: object
  readonly name: string
  readonly used: string
}

const traps = (): ReadonlyArray<Trap> => {
  const of = (holder: object, label: string, names: ReadonlyArray<string>): ReadonlyArray<Trap> =>
    names.map((name) => ({ holder, name, used: `${label}${name}` }))
  return [
    ...of(Date, "Date.", ["now"]),
    ...of(performance, "performance.", ["now"]),
    ...of(Math, "Math.", ["random"]),
    ...of(globalThis, "", ["setTimeout", "setInterval", "setImmediate", "queueMicrotask"]),
    ...of(process, "process.", ["nextTick", "hrtime"]),
    ...of(process.hrtime, "process.hrtime.", ["bigint"]),
    ...of(Promise.prototype, "Promise.", ["then"]),
    ...of(crypto, "crypto.", ["getRandomValues", "randomUUID"])
  ]
}

/** Runs something that must be decided by its seed alone. Tells every escape, and lets none through. */
export const guard = <A>(run: () => A, onEscape: (escape: Escape) => void): A => {
  const escapes = (used: string): never => {
    const escape = { used, place: placeNow() }
    onEscape(escape)
    throw new Error(`${used} is used in a simulation, at ${escape.place}`)
  }
  const undo = traps().map(({ holder, name, used }) => {
    const before = Object.getOwnPropertyDescriptor(holder, name)
    Object.defineProperty(holder, name, {
      configurable: true,
      writable: true,
      // What hangs on it, as `bigint` on `hrtime`, is where it was.
      value: new Proxy(Reflect.get(holder, name) as () => unknown, { apply: () => escapes(used) })
    })
    return () => {
      if (before === undefined) Reflect.deleteProperty(holder, name)
      else Object.defineProperty(holder, name, before)
    }
  })
  const hostDate = globalThis.Date
  globalThis.Date = new Proxy(hostDate, {
    construct: (target, args, newTarget) => {
      if (args.length > 0) return Reflect.construct(target, args, newTarget) as object
      return escapes("new Date()")
    },
    // Called like this it says the time, whatever it is given.
    apply: () => escapes("Date()")
  })
  // Typed errors are values, and many: their stacks would cost more than all else.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    globalThis.Date = hostDate
    for (const each of undo) each()
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Where this is called from, as the first line of the stack that is not of this file. */
const placeNow = (): string => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 20
  const { stack = "" } = new Error("here")
  Error.stackTraceLimit = stackTraceLimit
  const lines = stack.split("\n").slice(1)
  const line = lines.find((line) => !/Escapes\.[jt]s/.test(line))
  return line?.trim().replace(/^at /, "") ?? "a place that is not known"
}
