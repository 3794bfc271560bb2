/** The client API on a real socket, with services that answer as told: for what a replica seldom answers. */
import { NodeHttpServer } from "@effect/platform-node"
import type { ClientSession } from "@quorum/core"
import {
  ClientSessions,
  HybridLogicalClock,
  Limits,
  LogId,
  QuorumError,
  QuorumWriter,
  Records,
  ReplicaId,
  ReplicaSet,
  ReplicaStatus
} from "@quorum/core"
import { Effect, Layer, Logger, Option, Result, Stream } from "effect"
import * as Http from "node:http"
import { HttpReplicaServer } from "../../src/index.ts"
import { freePort, policy } from "./cluster.ts"

const incarnation = LogId.Incarnation.make("0123456789abcdef")

/** A replica that is well. */
export const status: ReplicaStatus.Status = {
  identity: { cluster: "test", replica: ReplicaId.make("a"), incarnation },
  log: LogId.make(ReplicaId.make("a"), incarnation),
  protocolVersions: [1],
  policy: policy(3, 2),
  limits: Limits.defaults,
  recovered: true,
  voting: true,
  blank: false,
  readable: true,
  obstacle: null,
  restoredFrom: null,
  toFetch: 0,
  insecure: false,
  doubt: "none",
  members: {},
  storeFault: null,
  diskStalledMillis: 0,
  damaged: [],
  lost: [],
  givenUp: [],
  scrub: { last: null, current: null },
  compaction: {
    last: null,
    startedAt: null,
    appendedBytes: 0,
    swept: HybridLogicalClock.zero,
    forgettable: null,
    heldBackBy: [],
    space: null
  },
  room: { left: null, reserve: null, refusing: false },
  clock: { wallTime: 0, logical: 0 },
  clockHeldMillis: 0,
  farKeys: 0,
  vector: [],
  frontier: [],
  stableTime: { clock: { wallTime: 0, logical: 0 }, heldBackBy: [], since: 0 },
  peers: [],
  waitingWrites: 0,
  waitingBytes: 0,
  caps: { waitingWrites: 65_536, waitingBytes: 67_108_864, pushes: 4 },
  unindexedKeys: 0
}

/** A peer of it that is well. */
export const peer: ReplicaStatus.PeerStatus = {
  replica: ReplicaId.make("b"),
  voting: true,
  link: "up",
  since: 0,
  verdict: null,
  detail: null,
  watermark: 0,
  lag: 0,
  drifted: [],
  clockSkewMillis: 0,
  pushes: 0,
  pushBytes: 0,
  connectionBytes: null,
  away: null
}

/** Serves the API; `log` collects what the replica writes to its log. */
export const serve = Effect.fnUntraced(function* (answers: {
  readonly commit?: QuorumWriter.QuorumWriter["Service"]["commit"]
  readonly commitUnsafe?: QuorumWriter.QuorumWriter["Service"]["commitUnsafe"]
  readonly resume?: QuorumWriter.QuorumWriter["Service"]["resume"]
  readonly status?: QuorumWriter.QuorumWriter["Service"]["status"]
  readonly newest?: Records.Records["Service"]["newest"]
  readonly replica?: ReplicaStatus.Status
  readonly page?: Records.Records["Service"]["page"]
  readonly changes?: Records.Records["Service"]["changes"]
  readonly afterPage?: ClientSessions.ClientSessions["Service"]["afterPage"]
}) {
  const port = yield* freePort
  const log: Array<string> = []
  const members = Result.getOrThrow(ReplicaSet.make({ cluster: "test", self: "a", members: ["a", "b", "c"] }))
  const writer = QuorumWriter.QuorumWriter.of({
    policy: policy(3, 2),
    waiting: () => 0,
    waitingBytes: () => 0,
    caps: { writes: 65_536, bytes: 67_108_864 },
    commit: () => Effect.die("not expected"),
    commitUnsafe: () => {
      throw new Error("not expected")
    },
    progress: () => Stream.die("not expected"),
    stamp: () => Effect.die("not expected"),
    stampEach: () => Effect.die("not expected"),
    verify: () => Effect.die("not expected"),
    upgrade: () => Effect.die("not expected"),
    resume: () => Effect.die("not expected"),
    status: (writeId) => new QuorumError.WriteUnknown({ writeId }),
    ...answers
  })
  const records = Records.Records.of({
    read: () => Effect.succeed(Option.none()),
    newest: () => Effect.succeed(Option.none()),
    page: () => Effect.succeed({ records: [], damaged: [], unreadable: [], next: Option.none() }),
    keys: () => Effect.succeed({ keys: [], unreadable: [], next: Option.none() }),
    count: () => Effect.succeed({ count: 0, unreadable: [] }),
    namespaces: () => Effect.succeed({ namespaces: [], unreadable: [], next: Option.none() }),
    changes: () => Stream.die("not expected"),
    ...answers
  })
  const same = Effect.succeed<ClientSession.ClientSession>
  const sessions = ClientSessions.ClientSessions.of({
    arrived: () => Effect.void,
    afterWrites: same,
    afterRead: same,
    afterPage: answers.afterPage ?? same
  })
  const logger = Logger.make(({ message }) => void log.push(String(message)))
  yield* Layer.build(
    HttpReplicaServer.layerClients.pipe(
      Layer.provide(NodeHttpServer.layerServer(() => Http.createServer(), { host: "127.0.0.1", port })),
      Layer.provide(Layer.succeed(QuorumWriter.QuorumWriter, writer)),
      Layer.provide(Layer.succeed(Records.Records, records)),
      Layer.provide(Layer.succeed(ClientSessions.ClientSessions, sessions)),
      Layer.provide(
        Layer.succeed(ReplicaStatus.ReplicaStatus, {
          current: () => answers.replica ?? status,
          lossOf: () => Effect.succeed("nothing"),
          recover: () => Effect.succeed("nothing"),
          scrub: Effect.succeed(status.scrub),
          compact: Effect.succeed(status.compaction)
        })
      ),
      Layer.provide(Layer.succeed(ReplicaSet.ReplicaSet, members)),
      Layer.provide(Logger.layer([logger]))
    )
  )
  return { url: `http://127.0.0.1:${port}`, log }
})
