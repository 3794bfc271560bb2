/** Answers that are no acks: of other replicas, and of replicas that are wrong about themselves. */
import { assert } from "@effect/vitest"
import { Entry, type LogId } from "@quorum/core"
import { EntryBatch, Life, type PeerProtocol, type ReplicaStore } from "@quorum/core/adapter"
import { Effect } from "effect"
import * as Conformance from "../../Conformance.ts"
import type { Wire } from "../../Wire.ts"
import { head, range, source } from "../entries.ts"
import { until, within } from "../waiting.ts"
import * as Rig from "./rig.ts"

const log = source(Rig.logA, 3)

/** What of an ack echoes the push. */
type Echo = Pick<PeerProtocol.Ack, "replica" | "log" | "seq" | "chain">

/** Answers that look like acks and are none, by a replica that stores nothing. */
const lies: ReadonlyArray<readonly [what: string, lie: (batch: EntryBatch.EntryBatch) => Echo]> = [
  ["in the name of another replica", (batch) => ({ replica: Rig.c, ...EntryBatch.watermark(batch) })],
  ["in the name of the caller", (batch) => ({ replica: Rig.a, ...EntryBatch.watermark(batch) })],
  [
    "for another log",
    (batch) => ({ replica: Rig.b, ...EntryBatch.watermark(batch), log: "c@00000000000000cc" as LogId.LogId })
  ],
  [
    "for another place",
    (batch) => ({ replica: Rig.b, ...EntryBatch.watermark(batch), seq: EntryBatch.last(batch) + 1 })
  ],
  ["with another chain", (batch) => ({ replica: Rig.b, ...EntryBatch.watermark(batch), chain: batch.prevChain })]
]

/** Commits nothing, but counts like a writer: what core's replicator makes of the peer `b`. */
const observe = Effect.fnUntraced(function* (rig: Rig.Rig) {
  const { append, events, peer } = yield* Rig.observer(yield* rig.transport())
  const acks: Array<string> = []
  events.listen((event) => {
    if (event._tag === "Acked" && event.log === Rig.logA) acks.push(`${event.peer} ${event.seq}`)
  })
  yield* append(Entry.put("ns", "k", "v"))
  return { acks, peer: () => peer(Rig.b) }
})

const copyOf = (store: ReplicaStore.ReplicaStore["Service"]) => Effect.map(head(store, Rig.logA), ({ seq }) => seq)

export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  ...lies.map(([what, lie]) =>
    Conformance.make(
      `an ack ${what} is not counted`,
      Effect.gen(function* () {
        let lied = 0
        const rig = yield* Rig.make
        // All that it says beside the lie is true.
        let truth: PeerProtocol.Welcome | undefined
        const peer = yield* rig.serve(Rig.b, (handler) => ({
          ...handler,
          hello: (request) => Effect.tap(handler.hello(request), (welcome) => Effect.sync(() => (truth = welcome))),
          push: ({ batch }) =>
            Effect.sync(() => {
              lied++
              const { clock, incarnation, members } = truth!
              return { incarnation, members: Life.hash(members), clock, voting: true, ...lie(batch) }
            })
        }))
        const { acks, peer: state } = yield* observe(rig)
        yield* until("the lie was told", () => lied > 0)
        yield* until("the lie was noticed", () => state().link === "down" || state().drifted.includes(Rig.logA))
        assert.deepStrictEqual(acks, [])
        assert.strictEqual(yield* copyOf(peer.store), 0)
      })
    )
  ),

  Conformance.make(
    "another replica that answers at the peer's address is not counted",
    Effect.gen(function* () {
      const rig = yield* Rig.make
      const impostor = yield* rig.replica(Rig.c, undefined, Rig.b)
      yield* impostor.start
      const { acks, peer } = yield* observe(rig)
      yield* until("the mistake was noticed", () => peer().link === "down")
      assert.match(peer().detail ?? "", /wrong_replica/)
      assert.deepStrictEqual(acks, [])
      assert.strictEqual(yield* copyOf(impostor.store), 0)
    })
  ),

  Conformance.make(
    "a defect of the peer is no answer, and the next call is answered",
    Effect.gen(function* () {
      let broken = true
      const rig = yield* Rig.make
      yield* rig.serve(Rig.b, (handler) => ({
        ...handler,
        push: (request) => (broken ? Effect.die(new Error("broken")) : handler.push(request))
      }))
      const transport = yield* rig.transport()
      const { push } = yield* Rig.connect(transport)
      const error = yield* within("the push")(Effect.exit(push(log)))
      assert.strictEqual(error._tag, "Failure", "a defect was taken for an ack")
      broken = false
      const again = yield* Rig.connect(transport)
      assert.strictEqual((yield* within("the push")(again.push(range(log, 1, 3)))).seq, 3)
    })
  )
]
