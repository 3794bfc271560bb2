/** A replica set as a run leaves it, in which all is sound, and what breaks each of the promises in it. */
import { assert } from "@effect/vitest"
import { Entry, LogId, QuorumPolicy, QuorumWriter, type ReplicaId, WriteId } from "@quorum/core"
import { Chain, EntryBatch, type PeerProtocol, type RunId, Watermark } from "@quorum/core/adapter"
import { Context, Effect, Result, Stream } from "effect"
import * as ChangesMissNothing from "../../src/internal/simulation/checks/ChangesMissNothing.ts"
import * as FrontierIsHeld from "../../src/internal/simulation/checks/FrontierIsHeld.ts"
import * as LeftOutByMajority from "../../src/internal/simulation/checks/LeftOutByMajority.ts"
import { checks } from "../../src/internal/simulation/checks/index.ts"
import * as NeverStandsStill from "../../src/internal/simulation/checks/NeverStandsStill.ts"
import * as PagesInOrder from "../../src/internal/simulation/checks/PagesInOrder.ts"
import * as StableTimeIsStable from "../../src/internal/simulation/checks/StableTimeIsStable.ts"
import * as watching from "../../src/internal/simulation/checks/watching.ts"
import * as Disk from "../../src/internal/simulation/Disk.ts"
import * as Evidence from "../../src/internal/simulation/Evidence.ts"
import * as Held from "../../src/internal/simulation/Held.ts"
import * as History from "../../src/internal/simulation/History.ts"
import * as Machines from "../../src/internal/simulation/Machines.ts"
import { epochMillis } from "../../src/internal/simulation/MachineClock.ts"
import * as World from "../../src/internal/simulation/World.ts"

/** Three replicas of which none runs yet, and nothing was asked. */
export const empty = () => {
  const world = World.make({
    seed: 1,
    replicas: 3,
    policy: undefined,
    options: {},
    skewMillis: 0,
    drift: 0,
    isTraced: false,
    watch: watching
  })
  const history = History.make()
  const contents = world.machines.map(({ disk }) => disk.content)
  const [a, b, c] = contents as [Disk.Content, Disk.Content, Disk.Content]
  const logOf = (i: number): LogId.LogId => LogId.make(world.members[i]!, contents[i]!.incarnation)

  /** An entry at the end of the log of one replica, held by some. */
  const append = (
    by: number,
    writes: Entry.Writes,
    wallTime: number,
    holders: ReadonlyArray<Disk.Content>,
    tie = "1"
  ) => {
    const stamp = { clock: { wallTime, logical: 0 }, tie: tie.repeat(16) as RunId.RunId, unprobed: false }
    const { batch, checks } = EntryBatch.encodeStamped(Disk.headOf(contents[by]!, logOf(by)), [writes], () => stamp)
    for (const content of holders) {
      Disk.hold(content, batch)
      watching.onHeld(
        world,
        world.machines.find(({ disk }) => disk.content === content)!,
        batch
      )
    }
    return WriteId.make(logOf(by), EntryBatch.last(batch), checks[0]!)
  }

  /** A write that was asked for, and answered with a receipt. */
  const committed = (
    key: string,
    value: string | undefined,
    writeId: WriteId.WriteId,
    more: Partial<History.Operation> = {}
  ) => {
    const operation = history.ask({ client: 0, kind: "write", at: world.members[0]!, key, w: 2, value }, 0)
    Object.assign(operation, { batch: operation.id, acked: world.members.slice(0, 2) })
    history.answer(operation, "receipt", { writeId, ...more })
    return operation
  }

  /** A read that was answered. */
  const read = (
    key: string,
    value: string | undefined,
    writeId: WriteId.WriteId | undefined,
    more: Partial<History.Operation> = {}
  ) => {
    const asked = { client: 0, kind: "read", at: world.members[0]!, key, w: 0, consistency: "linearizable" } as const
    const operation = history.ask(asked, 0)
    history.answer(operation, "read", { value, writeId, ...more })
  }
  return { world, history, a, b, c, all: contents, logOf, append, committed, read }
}

export type Scene = ReturnType<typeof sound>

export const put = (key: string, value: string): Entry.Write => Entry.put("n", key, History.bytesOf(value))

/** Two writes of one key at two replicas, both acknowledged and held by all, and a read of the later one. */
export const sound = () => {
  const scene = empty()
  const first = scene.append(0, put("k0", "v0"), 1000, scene.all)
  const one = scene.committed("k0", "v0", first)
  const second = scene.append(1, put("k0", "v1"), 2000, scene.all)
  const two = scene.committed("k0", "v1", second, { after: first })
  scene.read("k0", "v1", second, { atLeast: second })
  const pages: Array<Evidence.Page> = scene.world.members.map((id) => ({ id, values: new Map([["k0", "v1"]]) }))
  return { ...scene, first, second, one, two, pages }
}

export const found = (law: string, { history, pages, world }: Scene): ReadonlyArray<string> => {
  const evidence = Evidence.gather(world, history, pages, { order: "real-time", ackTimeoutMillis: 2000 })
  return checks[law]!(evidence)
}

/** What breaks each promise in a run that was in order. */
export const broken: Readonly<Record<string, (scene: Scene) => void>> = {
  AckedIsDurable: ({ b, c, logOf }) => [b, c].forEach(({ logs }) => logs.delete(logOf(0))),
  NoPhantomAck: ({ b, logOf }) => b.logs.delete(logOf(0)),
  MembersOnly: ({ one, world }) => (one.acked = [world.members[0]!, world.members[0]!]),
  DecisionIsFinal: ({ one }) => (one.slowestMillis = 2001),
  PrefixOrder: ({ c, logOf }) => {
    c.logs.delete(logOf(0))
    Disk.hold(c, EntryBatch.encodeStamped(Watermark.none(logOf(0)), [put("k0", "other")], stampless).batch)
  },
  Convergence: ({ c, logOf }) => c.logs.delete(logOf(0)),
  NotWrittenMeansNever: ({ history, one }) => history.answer(one, "QuorumUnavailable"),
  NoResurrection: ({ all, append, committed }) => {
    committed("k0", undefined, append(2, Entry.remove("n", "k0"), 3000, all))
  },
  OrderFree: ({ pages }) => (pages[2] = { ...pages[2]!, values: new Map([["k0", "v0"]]) }),
  ReadYourWrites: ({ first, read, second }) => read("k0", "v0", first, { atLeast: second, consistency: "local" }),
  OneEntryPerPlace: ({ first, two }) => (two.writeId = first),
  LaterWins: ({ all, append, committed }) => {
    committed("k0", "v2", append(2, put("k0", "v2"), 500, all))
  },
  AtomicRegister: ({ first, read }) => read("k0", "v0", first),
  Overlap: ({ first, read }) => read("k0", "v0", first, { consistency: "quorum" }),
  AtomicEntries: ({ one, two }) => Object.assign(two, { batch: one.batch }),
  OnceByKey: ({ all, append }) => append(2, put("k0", "v1"), 2100, all),
  SessionOrder: ({ first, one, second }) => Object.assign(one, { after: second, writeId: first })
}

export const stampless = (): Entry.Stamp => ({
  clock: { wallTime: 1500, logical: 0 },
  tie: "2".repeat(16) as RunId.RunId,
  unprobed: false
})

/** What is said that breaks each promise while a run goes on. */
export const said: Readonly<Record<string, (scene: Scene) => void>> = {
  Bounded: ({ world }) => {
    const never = Effect.die("nobody calls it")
    const writer = QuorumWriter.QuorumWriter.of({
      policy: Result.getOrThrow(QuorumPolicy.majority(3)),
      waiting: () => 5,
      waitingBytes: () => 0,
      caps: { writes: 4, bytes: 1 },
      commit: () => never,
      commitUnsafe: () => {
        throw new Error("nobody calls it")
      },
      progress: () => Stream.die("nobody calls it"),
      stamp: () => never,
      stampEach: () => never,
      resume: () => never,
      upgrade: () => never,
      verify: () => never,
      status: () => never
    })
    const services = Context.make(QuorumWriter.QuorumWriter, writer) as Context.Context<Machines.Services>
    world.machines[0]!.process!.services = services
    watching.onSample(world, false)
  },
  BoundedClocks: (scene) =>
    says(scene, "push", ackOf(scene, { clock: { wallTime: epochMillis + 200_000, logical: 0 } })),
  PagesInOrder: ({ world }) =>
    PagesInOrder.onPage(world, world.members[0]!, { namespace: "n", after: "k1", reverse: false, limit: 2 }, "k3", [
      "k3",
      "k2"
    ]),
  ChangesMissNothing: ({ first, world }) => {
    const { log } = WriteId.place(first)
    const changes = [
      { namespace: "n", key: "k0", deleted: false, value: new Uint8Array(), ...stampless(), writeId: first }
    ]
    const seen: ChangesMissNothing.Seen = new Map()
    ChangesMissNothing.onPage(world, world.members[0]!, "a reader", seen, {
      changes,
      position: [{ log, seq: 1, chain: Chain.empty }]
    })
    assert.deepStrictEqual(world.violations, [])
    ChangesMissNothing.onPage(world, world.members[0]!, "a reader", seen, {
      changes: [],
      position: [{ log, seq: 2, chain: Chain.empty }]
    })
  },
  // The newer of two writes, which nothing supersedes.
  ErasedIsSuperseded: (scene) => erases(scene, scene.second),
  FrontierIsHeld: ({ a, append, c, logOf, world }) => {
    append(0, put("k1", "v2"), 3000, [a, c])
    const frontier = [{ log: logOf(0), seq: 2, head: 2, heldBackBy: [], since: null }]
    FrontierIsHeld.onFrontier(world, world.members[0]!, frontier)
  },
  StableTimeIsStable: ({ a, append, c, world }) => {
    append(0, put("k1", "v2"), 3000, [a, c])
    StableTimeIsStable.onStable(world, { wallTime: epochMillis + 3_600_000, logical: 0 })
  },
  LeftOutByMajority: ({ a, world }) =>
    LeftOutByMajority.onLeftOut(world, world.members[0]!, LogId.incarnationWithout(a.incarnation)),
  NoFalseDoubt: ({ world }) => watching.onNoted(world, world.machines[0]!, { [Disk.blank]: "lost" }),
  NeverStandsStill: ({ history, world }) => {
    const operation = history.ask({ client: 0, kind: "read", at: world.members[0]!, key: "k0", w: 0 }, -100)
    history.answer(operation, "read")
    NeverStandsStill.onRead(world, world.machines[0]!, operation)
  },
  CatchUpSkipsNothing: (scene) => asks(scene, "pull", { session: "s", log: scene.logOf(1), after: 2, maxBytes: 100 }),
  DamageIsLocal: (scene) => {
    const { batch } = EntryBatch.encodeStamped(Disk.headOf(scene.a, scene.logOf(0)), [put("k0", "v2")], stampless)
    const bytes = batch.bytes.map((byte, i) => (i === batch.bytes.length - 1 ? byte ^ 1 : byte))
    scene.a.flipped.set(scene.logOf(0), new Set([2]))
    asks(scene, "push", { session: "s", batch: { ...batch, bytes } })
  },
  NoPhantomAck: (scene) => says(scene, "push", ackOf(scene, { seq: 2 })),
  RecoveringDoesNotVote: (scene) => {
    scene.a.notes.set(Disk.blank, "lost")
    says(scene, "push", ackOf(scene, {}))
  }
}

/** An ack of the first replica, for the log of the second. */
export const ackOf = ({ a, logOf, world }: Scene, more: Partial<PeerProtocol.Ack>): PeerProtocol.Ack => ({
  ...Disk.headOf(a, logOf(1)),
  replica: world.members[0]!,
  incarnation: a.incarnation,
  members: 0,
  clock: { wallTime: epochMillis, logical: 0 },
  voting: true,
  ...more
})

/** The first replica erases a write. */
export const erases = ({ a, world }: Pick<Scene, "a" | "world">, writeId: WriteId.WriteId): void => {
  const held = Array.from(a.logs.values())
    .flat()
    .flatMap((batch) => Held.ofBatch(batch, new Map()))
  watching.onErased(
    world,
    world.machines[0]!,
    held.filter(({ id }) => id === writeId)
  )
}

/** What a disk held in the life after this one. */
export const newerThan = (content: Disk.Content): Disk.Content => ({
  ...Disk.copyOf(content),
  incarnation: LogId.incarnationWithout(content.incarnation)
})

const between = ({ world }: Scene) => {
  const [from, to] = world.members as [ReplicaId.ReplicaId, ReplicaId.ReplicaId]
  return { by: world.machines[0]!.process!.owner, from, to }
}

export const says = (scene: Scene, name: "push", answer: PeerProtocol.Ack): void =>
  watching.onPassing(scene.world, { ...between(scene), name, request: {}, answer })

const asks = (scene: Scene, name: "pull" | "push", request: unknown): void =>
  watching.onPassing(scene.world, { ...between(scene), name, request })

/** A run whose first replica has a process. */
export const running = (): Scene => {
  const scene = sound()
  Machines.start(scene.world.setting, scene.world.machines[0]!)
  return scene
}
