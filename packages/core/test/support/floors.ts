/**
 * Four replicas as small as stable time needs them: logs of clocks, lives, floors, what is on its way, and what is lost.
 * They follow the rules that `Floors` rests on. Each rule can be left out, to see that it is needed.
 */
import * as Floors from "../../src/peer/Floors.ts"
import { LogId, ReplicaId } from "../../src/index.ts"
import { type Life, RunId } from "../../src/adapter.ts"

/** What a floor rests on. */
export const rules = [
  "a replica appends nothing at or below its floor",
  "a floor outlives the process",
  "a new life begins with the floors of those that it recovers from",
  "a floor says all that its giver holds",
  "a floor counts when all members hold that",
  "floors are given knowing the same lives",
  "nothing is taken from a former life"
] as const

/** A rule. */
export type Rule = (typeof rules)[number]

/** What may happen, as often as it is here. */
export const kinds = [
  ...(["append", "append", "append old", "append old", "append old"] as const),
  ...(["push", "push", "pull", "arrive", "arrive", "greet", "greet"] as const),
  ...(["exchange", "exchange", "exchange", "look", "look", "look", "look", "restart", "wipe"] as const)
]

/** What happens next: which of these, to whom, with whom, and how. */
export type Step = readonly [kind: number, one: number, other: number, how: number]

interface Replica {
  readonly id: ReplicaId.ReplicaId
  incarnation: number
  logs: Map<LogId.LogId, Array<number>>
  lives: Record<string, number>
  floor: number
  votes: boolean
  answers: Map<Replica, { readonly vector: ReadonlyArray<Floors.Place>; readonly floor: number }>
  /** What it knows of the others, and of itself. */
  floors: Floors.Floors
  held: Map<ReplicaId.ReplicaId, { incarnation: number; places: ReadonlyArray<Floors.Place> }>
  /** All that any of its disks has held. */
  readonly ever: Set<string>
}

interface Message {
  readonly from: Replica
  readonly incarnation: number
  readonly to: Replica
  readonly log: LogId.LogId
  readonly after: number
  readonly clocks: ReadonlyArray<number>
}

const incarnationOf = (number: number) => number.toString(16).padStart(16, "0") as LogId.Incarnation
const livesOf = (lives: Readonly<Record<string, number>>): Life.Lives =>
  Object.fromEntries(
    Object.entries(lives).map(([id, number]) => [
      id,
      { incarnation: incarnationOf(number), starts: 1, run: RunId.none, startedAt: 0 }
    ])
  )
const clockOf = (wallTime: number) => ({ wallTime, logical: 0 })

/** Has the steps happen. Returns the first thing that appeared below a stable time, and the last stable time. */
export const play = (steps: ReadonlyArray<Step>, without?: Rule) => {
  const keeps = (rule: Rule): boolean => rule !== without
  const replicas: ReadonlyArray<Replica> = ["a", "b", "c", "d"].map((id) => ({
    id: ReplicaId.make(id),
    incarnation: 1,
    logs: new Map(),
    lives: { a: 1, b: 1, c: 1, d: 1 },
    floor: 0,
    votes: true,
    answers: new Map(),
    floors: new Map(),
    held: new Map(),
    ever: new Set()
  }))
  let messages: Array<Message> = []
  let time = 1
  let stable = 0
  let appeared: string | undefined
  const ownOf = ({ id, incarnation }: Replica) => LogId.make(id, incarnationOf(incarnation))
  const vectorOf = ({ logs }: Replica) => Array.from(logs, ([log, clocks]) => ({ log, seq: clocks.length }))
  const isFormer = (by: Replica, { from, incarnation }: Pick<Message, "from" | "incarnation">) =>
    (by.lives[from.id] ?? 0) > incarnation

  const append = (to: Replica, log: LogId.LogId, clock: number): void => {
    const clocks = to.logs.get(log) ?? []
    to.logs.set(log, clocks)
    clocks.push(clock)
    const place = `${log} ${clocks.length}`
    if (clock <= stable && !to.ever.has(place))
      appeared ??= `${to.id} gets ${place} of ${clock} after ${stable} was stable`
    to.ever.add(place)
  }

  const said = (by: Replica): Floors.Said => {
    const own = { log: ownOf(by), seq: by.logs.get(ownOf(by))?.length ?? 0 }
    const vector = keeps("a floor says all that its giver holds") ? vectorOf(by) : []
    const lives = keeps("floors are given knowing the same lives") ? livesOf(by.lives) : {}
    return { clock: clockOf(by.floor), own, again: 0, vector, lives }
  }

  const meet = (by: Replica, who: Replica): void => {
    for (const [id, incarnation] of Object.entries({ ...who.lives, [who.id]: who.incarnation })) {
      if (id !== by.id) by.lives[id] = Math.max(by.lives[id] ?? 0, incarnation)
    }
    for (const { id } of replicas) {
      const known = by.held.get(id)
      if (known !== undefined && known.incarnation < by.lives[id]!) by.held.delete(id)
    }
  }

  /** One calls the other, and takes in what that says. */
  const greet = (one: Replica, other: Replica): void => {
    if (one === other || isFormer(other, { from: one, incarnation: one.incarnation })) return
    meet(other, one)
    meet(one, other)
    if (other.votes) {
      one.floors = Floors.heard(one.floors, other.id, said(other))
      one.held.set(other.id, { incarnation: other.incarnation, places: vectorOf(other) })
      if (!one.votes && !one.answers.has(other)) one.answers.set(other, { vector: vectorOf(other), floor: other.floor })
    }
    recover(one)
  }

  const recover = (one: Replica): void => {
    const answers = Array.from(one.answers.values())
    const isThere = answers.every(({ vector }) =>
      vector.every(({ log, seq }) => (one.logs.get(log)?.length ?? 0) >= seq)
    )
    if (one.votes || answers.length < 2 || !isThere) return
    one.votes = true
    one.answers = new Map()
    if (!keeps("a new life begins with the floors of those that it recovers from")) return
    one.floor = Math.max(one.floor, ...answers.map(({ floor }) => floor))
  }

  const send = (from: Replica, to: Replica, log: LogId.LogId, how: number): void => {
    const after = Math.max(0, (to.logs.get(log)?.length ?? 0) - (how % 2))
    const clocks = (from.logs.get(log) ?? []).slice(after)
    if (from !== to && clocks.length > 0) messages.push({ from, incarnation: from.incarnation, to, log, after, clocks })
  }

  const take = (message: Message): void => {
    const { after, clocks, log, to } = message
    if (keeps("nothing is taken from a former life") && isFormer(to, message)) return
    const held = to.logs.get(log)?.length ?? 0
    if (after > held) return
    for (const clock of clocks.slice(held - after)) append(to, log, clock)
    recover(to)
  }

  const wipe = (one: Replica, how: number): void => {
    if (how > 2 || replicas.some(({ votes }) => !votes)) return
    one.incarnation += 100
    one.logs = new Map()
    one.lives = { [one.id]: one.incarnation }
    one.floor = 0
    one.votes = false
    one.floors = new Map()
    one.held = new Map()
    if (how % 2 === 0) messages = messages.filter(({ from }) => from !== one)
    messages = messages.filter(({ to }) => to !== one)
  }

  const look = (one: Replica): void => {
    if (!one.votes) return
    one.floors = Floors.heard(one.floors, one.id, said(one))
    const holdings = new Map(
      replicas.map(({ id }) => {
        const isBlind = id === one.id || !keeps("a floor counts when all members hold that")
        return [id, isBlind ? vectorOf(one) : (one.held.get(id)?.places ?? [])]
      })
    )
    const lives = keeps("floors are given knowing the same lives") ? livesOf(one.lives) : {}
    const looked = Floors.look(one.floors, lives, holdings)
    one.floors = looked.floors
    const found = looked.clock?.wallTime ?? 0
    if (found <= stable) return
    stable = found
    for (const { id, logs } of replicas) {
      for (const [log, clocks] of logs) {
        for (const [i, clock] of clocks.entries()) {
          const lacks = replicas.find(({ ever }) => clock <= stable && !ever.has(`${log} ${i + 1}`))
          if (lacks !== undefined)
            appeared ??= `${id} has ${log} ${i + 1} of ${clock}, ${lacks.id} lacks it, at ${stable}`
        }
      }
    }
  }

  /** All that everybody misses of what others hold gets there, or is known to; but not what is on its way already. */
  const exchange = (among: ReadonlyArray<Replica>): void => {
    for (const from of among) {
      for (const to of among) {
        if (isFormer(to, { from, incarnation: from.incarnation })) continue
        for (const [log, clocks] of from.logs) {
          for (const clock of clocks.slice(to.logs.get(log)?.length ?? 0)) append(to, log, clock)
        }
      }
    }
    for (const one of among) for (const other of among) greet(one, other)
  }

  const step = ([drawn, i, j, how]: Step): void => {
    const [one, other] = [replicas[i]!, replicas[j]!]
    time++
    const kind = kinds[drawn]!
    switch (kind) {
      case "append":
      case "append old": {
        // A stamp that was drawn just now, or a while ago.
        const clock = kind === "append" ? time : Math.max(1, time - 4 * how)
        if (!one.votes || (clock <= one.floor && keeps("a replica appends nothing at or below its floor"))) return
        return append(one, ownOf(one), clock)
      }
      case "push":
        return send(one, other, ownOf(one), how)
      case "pull": {
        const logs = Array.from(one.logs.keys())
        return logs.length === 0 ? undefined : send(one, other, logs[how % logs.length]!, 0)
      }
      case "arrive": {
        const [message] = messages.splice(how % Math.max(1, messages.length), 1)
        return message === undefined || how === 7 ? undefined : take(message)
      }
      case "greet":
        return greet(one, other)
      case "exchange":
        return exchange(how < 2 ? replicas : [one, other])
      case "look":
        for (const each of how < 4 ? replicas : [one]) {
          if (each.votes) each.floor = Math.max(each.floor, time - 2)
          look(each)
        }
        return
      case "restart":
        if (!keeps("a floor outlives the process")) one.floor = 0
        one.floors = new Map()
        // After another boot of its machine it has another log.
        if (how === 0) one.lives[one.id] = ++one.incarnation
        return
      case "wipe":
        return wipe(one, how)
    }
  }

  for (const each of steps) {
    step(each)
    if (appeared !== undefined) break
  }
  return { appeared, stable }
}
