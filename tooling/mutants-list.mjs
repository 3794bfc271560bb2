// Bugs that the simulator has to find: each changes one place in a copy of packages/core/src, or a few. `from` is where
// the bug was seen: a law, the model, another system, or our own malice. `replicas`, `kinds`, `everyMillis` and
// `compacts` say in which runs a rare one is looked for: of how many replicas, with which faults, with how much time between
// two of them, and with compaction; `first` names the seeds that are looked at before, by which it was found once. `tests` is
// a file of core's tests that finds one which the runs do not find.
export const bugs = [
  {
    name: "majority-of-even",
    from: "L1",
    says: "a majority of 4 is 2",
    file: "quorum/QuorumPolicy.ts",
    find: "make({ n, w: Math.floor(n / 2) + 1 })",
    replace: "make({ n, w: Math.ceil(n / 2) })",
    replicas: 4
  },
  {
    name: "late-ack-counts",
    from: "L2",
    says: "an ack after the deadline completes the quorum",
    file: "quorum/AckTracker.ts",
    find: "const verdict = self.failed === undefined && at <= self.deadline ? acked : late",
    replace: "const verdict = acked",
    first: [2336]
  },
  {
    name: "self-counts-twice",
    from: "L5",
    says: "the local commit is counted twice",
    file: "quorum/AckTracker.ts",
    find: "const ownOf = (self: AckTracker): number => (self.selfLagsBy === 0 ? 1 : 0)",
    replace: "const ownOf = (self: AckTracker): number => (self.selfLagsBy === 0 ? 2 : 0)"
  },
  {
    name: "ack-before-append",
    from: "model ackBeforeFsync, L11, KurrentDB#5731",
    says: "a push is acked before it is durable",
    file: "peer/PeerHandler.ts",
    find: "const append = logs.append(batch, traces.map(Tracer.externalSpan))",
    replace:
      "const append = Effect.as(Effect.forkDetach(logs.append(batch, traces.map(Tracer.externalSpan)), { startImmediately: true }), EntryBatch.watermark(batch)) as ReturnType<typeof logs.append>"
  },
  {
    name: "own-before-append",
    from: "model ownBeforeFsync, d-engine#445",
    says: "the local commit counts before it is durable",
    file: "log/Appending.ts",
    find: "return Effect.matchEffect(disk.within(batch.log, append), {",
    replace:
      "return Effect.matchEffect(Effect.forkDetach(disk.within(batch.log, append), { startImmediately: true }) as never as ReturnType<typeof appendOwn>, {"
  },
  {
    name: "uncertain-is-failed",
    from: "L16",
    says: "an append that may have taken place is answered as nothing written",
    file: "write/internal/Appends.ts",
    find: 'if (error !== undefined && !(error._tag === "StoreError" && error.reason === "uncertain")) {',
    replace: "if (error !== undefined) {"
  },
  {
    name: "no-pull",
    from: "L21",
    says: "nobody fetches what the owner cannot push",
    file: "peer/internal/CatchUp.ts",
    find: "yield* once(log, pull(source, welcome, target))",
    replace: "yield* Effect.void"
  },
  {
    name: "gap-is-appended",
    from: "L27",
    says: "a batch after a gap is appended",
    file: "log/Deciding.ts",
    find: "if (before > head.seq) return Result.fail(new AppendGap({ head }))",
    replace: 'if (before > head.seq) return Result.succeed({ _tag: "Append", batch })'
  },
  {
    name: "order-of-arrival",
    from: "L36",
    says: "the index keeps what came last",
    file: "record/internal/PackedWrites.ts",
    find: "if (order !== 0) return order > 0",
    replace: "if (order !== 0) return true"
  },
  {
    name: "logical-clock-ignored",
    from: "L35",
    says: "two writes of one millisecond have no order",
    file: "log/HybridLogicalClock.ts",
    find: "a.wallTime - b.wallTime || a.logical - b.logical",
    replace: "a.wallTime - b.wallTime"
  },
  {
    name: "quorum-is-answered-early",
    from: "L7 turned round",
    says: "W is met one ack too early",
    file: "quorum/AckTracker.ts",
    find: 'self.failed === undefined && self.localAt !== undefined && ownOf(self) + count(self, "acked") >= self.policy.w',
    replace:
      'self.failed === undefined && self.localAt !== undefined && ownOf(self) + count(self, "acked") >= self.policy.w - 1'
  },
  {
    name: "cancelled-stragglers",
    from: "L20",
    says: "a peer gets nothing more once it is behind",
    file: "peer/internal/PushLoop.ts",
    find: "Effect.sync(() => [logs.onAppend(durably), logs.onWritten(() => void (isAhead && more.openUnsafe()))])",
    replace: "Effect.sync(() => [logs.onAppend(durably)])"
  },
  {
    name: "resume-is-believed",
    from: "L58, malice",
    says: "a write that is held here is said to be committed when it is asked for again",
    file: "write/internal/InFlight.ts",
    find: "groups.add(group)\n      waiting += waiters.length",
    replace:
      "if (!isNew) group.tracker = AckTracker.make({ policy: { ...policy, w: 1 }, self, peers: peerIds, startedAt }), group.tracker = AckTracker.recordLocal(group.tracker, monotonicMillis())\n      groups.add(group)\n      waiting += waiters.length"
  },
  {
    name: "push-skips-an-entry",
    from: "L27",
    says: "a new connection begins one entry too late",
    file: "peer/internal/PushLoop.ts",
    find: "let sent = welcome.vector.find((watermark) => watermark.log === logs.own)?.seq ?? 0",
    replace: "let sent = (welcome.vector.find((watermark) => watermark.log === logs.own)?.seq ?? -1) + 1",
    first: [89]
  },
  {
    name: "pull-skips-an-entry",
    from: "L26",
    says: "a page of a pull begins one entry too late",
    file: "peer/internal/CatchUp.ts",
    find: "const answer = yield* Effect.result(client.pull({ session, log, after, maxBytes: batchBytes() }))",
    replace:
      "const answer = yield* Effect.result(client.pull({ session, log, after: after + 1, maxBytes: batchBytes() }))"
  },
  {
    name: "vector-before-append",
    from: "L54",
    says: "what is being appended is announced",
    file: "log/ReplicaLogs.ts",
    find: "withPermit(Effect.uninterruptible(appends.copy(batch, within)))",
    replace:
      "withPermit(Effect.suspend(() => { const seq = batch.from + batch.count - 1; if (seq > head(batch.log).seq) heads.set(batch.log, { log: batch.log, seq, chain: batch.chain }); return Effect.uninterruptible(appends.copy(batch, within)) }))"
  },
  {
    name: "delete-forgets",
    from: "L37",
    says: "a delete leaves no tombstone in the index",
    file: "record/internal/Unindexed.ts",
    find: "b === undefined ? a : RecordIndex.compare(a, b) >= 0 ? a : b",
    replace:
      "b === undefined ? a : (a.deleted !== b.deleted) ? (a.deleted ? b : a) : RecordIndex.compare(a, b) >= 0 ? a : b"
  },
  {
    name: "flushing-is-not-read",
    from: "malice",
    says: "what is being merged into the index is not seen",
    file: "record/internal/Unindexed.ts",
    find: "newer(recent.get(namespace, key), merging?.pointers.get(namespace, key)),",
    replace: "recent.get(namespace, key),"
  },
  {
    name: "index-is-not-rebuilt",
    from: "harper#1949",
    says: "what an index lacks at the start is never indexed",
    file: "record/internal/IndexBuilder.ts",
    find: "const behind = logs.heads().find(",
    replace: "const behind = logs.heads().slice(0, 0).find("
  },
  {
    name: "progress-runs-ahead",
    from: "L27",
    says: "the index says that it covers what it has not merged",
    file: "record/internal/IndexBuilder.ts",
    find: "yield* index.merge(step, left",
    replace: "yield* index.merge(step.slice(0, 0), left"
  },
  {
    name: "at-least-is-not-waited-for",
    from: "malice",
    says: "a read with a receipt does not wait for its write",
    file: "record/LocalRecords.ts",
    find: "if (options?.atLeast === undefined) return held(namespace, key)",
    replace: "if (options?.withinMillis !== -1) return held(namespace, key)"
  },
  {
    name: "unmet-is-unwritten",
    from: "L16, L17",
    says: "a quorum that was not met is answered as nothing written",
    file: "write/internal/WriteGroup.ts",
    find: "resume(Exit.fail(new QuorumError.QuorumNotMet({ got, needed, reason, writeId, verdicts })))",
    replace:
      "resume(Exit.fail(new QuorumError.QuorumUnavailable({ alive: got, needed, reason: 'timeout', verdicts }) as never))"
  },
  {
    name: "write-id-of-the-batch",
    from: "L12",
    says: "all writes of a batch get the id of its last",
    file: "write/internal/Appends.ts",
    find: "commit.seq = batch.from + i",
    replace: "commit.seq = batch.from + commits.length - 1"
  },
  {
    name: "half-an-atomic-entry",
    from: "L38",
    says: "the index takes in the first write of an entry only",
    file: "record/internal/UpcomingKeys.ts",
    find: "for (at = Entry.firstRecord(at); at < after; at = Entry.nextRecord(bytes, at)) {",
    replace: "for (at = Entry.firstRecord(at); at < after; at = after) {"
  },
  {
    name: "receive-is-ignored",
    from: "L34, nodedb#264",
    says: "the clock follows nobody",
    file: "log/HybridLogicalClock.ts",
    find: "compare(remote, last) > 0",
    replace: "compare(remote, last) > 0 && false"
  },
  {
    name: "read-of-a-minority",
    from: "model readMinority",
    says: "a linearizable read asks one replica too few",
    file: "read/internal/QuorumReads.ts",
    find: "yield* ask(reading, majority)",
    replace: "yield* ask(reading, majority - 1)"
  },
  {
    name: "read-without-confirm",
    from: "model noConfirm",
    says: "a linearizable read answers what a majority need not hold",
    file: "read/internal/Confirming.ts",
    find: "if (before.length >= majority) return true",
    replace: "if (before.length >= 1) return true"
  },
  {
    name: "failure-after-append",
    from: "L16",
    says: "a write that is being appended at a stop is answered as never written",
    file: "write/internal/Appends.ts",
    find: 'refuse(appending, "write_uncertain", new QuorumError.WriteUncertain({ detail }))',
    replace: 'refuse(appending, "replica_closing", new QuorumError.ReplicaClosing())'
  },
  {
    name: "no-probe",
    from: "model noProbe",
    says: "a write is stamped as in real-time order and nobody is asked",
    file: "write/internal/Appender.ts",
    find: "n > 1 && QuorumPolicy.isRealTime(policy)",
    replace: "n > 99 && QuorumPolicy.isRealTime(policy)"
  },
  {
    name: "probe-minority",
    from: "model probeMinority",
    says: "one replica too few is asked for its clock",
    file: "quorum/ProbeTracker.ts",
    find: "needed: Math.floor(n / 2), answered",
    replace: "needed: Math.floor(n / 2) - 1, answered"
  },
  {
    name: "probe-is-forgotten",
    from: "malice",
    says: "the stamp does not come after the answers",
    file: "write/internal/Probing.ts",
    find: "for (const commit of taken) commit.after = later(commit.after, clock)",
    replace: "void clock"
  },
  {
    name: "probe-stale",
    from: "model probeStale",
    says: "an answer covers calls that came after the question",
    file: "write/internal/Probing.ts",
    find: "const covered = ProbeTracker.coveredBefore(probes.tracker())",
    replace: "const covered = ProbeTracker.coveredBefore(probes.tracker()) > 0 ? Number.POSITIVE_INFINITY : 0"
  },
  {
    name: "probe-without-clock",
    from: "malice",
    says: "a peer answers a probe with the beginning of time",
    file: "peer/PeerHandler.ts",
    find: "return Effect.succeed({ clock: ownClock.current(), members",
    replace: "return Effect.succeed({ clock: { wallTime: 0, logical: 0 }, members"
  },
  {
    name: "clock-forgotten",
    from: "L51",
    says: "a restarted replica does not know how far its clock was",
    file: "log/ClockNote.ts",
    find: "onSome: Number })",
    replace: "onSome: () => 0 })",
    kinds: ["clock_jump", "power_cut_of_all"]
  },
  {
    name: "far-keys-ignored",
    from: "L51, model probeHlcOnly",
    says: "a write does not come after a version that no clock follows",
    file: "log/ReplicaClock.ts",
    find: "if (far.size() === 0) return after\n",
    replace: "if (far.size() >= 0) return after\n"
  },
  {
    name: "retry-restamps",
    from: "model retryRestamp",
    says: "a write under a stamp is stamped anew where it is committed",
    file: "write/internal/Intake.ts",
    find: "offer(sound, options, done, { drawn, onDurable",
    replace: "offer(sound, options, done, { drawn: drawn === undefined ? drawn : undefined, onDurable"
  },
  {
    name: "tie-of-the-log",
    from: "model tieByLog",
    says: "copies of a stamped write have the tie of whoever writes them",
    file: "log/ReplicaLogs.ts",
    find: "return drawn ?? { clock, tie: run, unprobed }",
    replace: "return drawn === undefined ? { clock, tie: run, unprobed } : { ...drawn, tie: run }"
  },
  {
    name: "place-given-twice",
    from: "model reuseLog",
    says: "a store that is older than what its peers hold of it goes on in its log, and votes",
    file: "peer/internal/Meeting.ts",
    find: "yield* renewal.renewFor(() => Doubt.of(logs, kept, said, isAsked()))",
    replace: "yield* renewal.renewFor(() => void Doubt.of(logs, kept, said, isAsked()))",
    kinds: ["put_back"]
  },
  {
    name: "recovery-forgotten",
    from: "model recVolatile",
    says: "a replica that was recovering votes when it is started again",
    file: "peer/internal/membershipNotes.ts",
    find: 'const standing: Standing = note === ""',
    replace: 'const standing: Standing = note === "" || store.doubt === "none"'
  },
  {
    name: "votes-at-once",
    from: "model noR6, L55",
    says: "a replica that lost its disk votes at once",
    file: "peer/internal/Obstacles.ts",
    find: "standing.isVoting() && isAlone() && toMend() === undefined && former",
    replace: "isAlone() && toMend() === undefined && former"
  },
  {
    name: "votes-damaged",
    from: "L60",
    says: "a replica that lacks damaged entries votes",
    file: "peer/internal/Obstacles.ts",
    find: "standing.isVoting() && isAlone() && toMend() === undefined && former",
    replace: "standing.isVoting() && isAlone() && former",
    kinds: ["damage"]
  },
  {
    name: "probe-recovering",
    from: "model probeRec",
    says: "a replica that is recovering answers probes",
    file: "peer/PeerHandler.ts",
    find: "if (!membership.isVoting()) return Effect.fail(new PeerProtocol.NotVoting())",
    replace: "if (membership.isVoting() && false) return Effect.fail(new PeerProtocol.NotVoting())"
  },
  {
    name: "few-helpers",
    from: "model r6FewHelpers",
    says: "one voting member too few is asked before a replica votes again",
    file: "peer/internal/Voting.ts",
    find: "n - (Math.floor(n / 2) + 1) + 1",
    replace: "n - (Math.floor(n / 2) + 1)",
    replicas: 5,
    first: [25899]
  },
  {
    name: "recovering-helpers",
    from: "model r6RecHelpers",
    says: "those that are recovering themselves count as helpers",
    file: "peer/internal/Voting.ts",
    find: "([peer, answer]) => answer.voting && !givenUp.has(peer)",
    replace: "([peer]) => !givenUp.has(peer)",
    replicas: 4,
    first: [398]
  },
  {
    name: "recovery-fetches-nothing",
    from: "L55",
    says: "a replica votes before it holds what its helpers held",
    file: "peer/internal/Voting.ts",
    find: "return voting.every(([peer, { vector }]) => vector.every((watermark) => holds(peer, watermark)))",
    replace: "return voting.every(([, { vector }]) => vector.length >= 0)"
  },
  {
    name: "acks-are-not-taken-back",
    from: "model noIncs, L57",
    says: "what a former disk acked goes on counting",
    file: "peer/Peers.ts",
    find: "if (!isFirst) takeBack(peer)",
    replace: "void isFirst",
    replicas: 4
  },
  {
    name: "reads-while-recovering",
    from: "L55",
    says: "a replica that is recovering answers reads of peers",
    file: "peer/PeerHandler.ts",
    find: "membership.isVoting() ? Effect.void : Effect.fail(new PeerProtocol.NotVoting())",
    replace: "Effect.void"
  },
  {
    name: "confirm-volatile",
    from: "model confirmVolatile",
    says: "a linearizable read counts this replica for what it does not hold",
    file: "read/internal/Confirming.ts",
    find: "if (isHere) confirmed.add(self)",
    replace: "confirmed.add(self)"
  },
  {
    name: "local-for-linearizable",
    from: "malice, d-engine#381",
    says: "a linearizable read answers what this replica holds",
    file: "read/internal/QuorumReads.ts",
    find: "const isDone = newest === undefined ||",
    replace: "const isDone = newest !== null ||"
  },
  {
    name: "quorum-read-of-one-too-few",
    from: "malice",
    says: "a quorum read asks one replica fewer than overlap with every majority",
    file: "read/Records.ts",
    find: "if (r === undefined) return Result.succeed(several.majority)",
    replace: "if (r === undefined) return Result.succeed(several.majority - 1)"
  },
  {
    name: "any-log-is-acked",
    from: "L12",
    says: "an ack for one log counts for another",
    file: "write/internal/WriteGroup.ts",
    find: "if (log !== group.log || seq < group.seq) return",
    replace: "if (seq < group.seq) return"
  },
  {
    name: "watermark-one-further",
    from: "malice",
    says: "an ack counts for the write after it",
    file: "write/internal/WriteGroup.ts",
    find: "if (log !== group.log || seq < group.seq) return",
    replace: "if (log !== group.log || seq < group.seq - 1) return"
  },
  {
    name: "acks-of-those-who-do-not-vote",
    from: "L55",
    says: "an ack of a replica that is recovering counts",
    file: "peer/internal/Known.ts",
    find: "if (!state.voting || (state.incarnation",
    replace: "if ((state.incarnation"
  },
  {
    name: "copy-replaces",
    from: "harper#2193, L61",
    says: "a log that is fetched from its beginning replaces what only the receiver had",
    file: "record/internal/Unindexed.ts",
    find: "recent.add(batch)\n      covered",
    replace:
      "if (batch.from === 1 && batch.count > 2) recent = PointerTable.make(random)\n      recent.add(batch)\n      covered"
  },
  {
    name: "damage-is-announced",
    from: "harper#2016, L60",
    says: "a log with a damaged entry in it is announced as held to its end",
    file: "log/Damage.ts",
    find: "held.get(head.log) ?? head",
    replace: "head"
  },
  {
    name: "replay-ends-silently",
    from: "scylladb#3847, L60",
    says: "what follows a damaged entry is left out when the index is built again",
    file: "record/internal/IndexBuilder.ts",
    find: "unindexed.skip({ ...damage, from: at + 1 })",
    replace: "unindexed.skip({ ...damage, from: at + 1, to: logs.head(log).seq })"
  },
  {
    name: "superseded-is-rejected",
    from: "harper#2153, L60",
    says: "an entry that comes long after newer ones cannot be taken, pushed or pulled, and wedges its log",
    file: "log/Appending.ts",
    find: "copy: (batch: EntryBatch.EntryBatch, within: ReadonlyArray<Tracer.AnySpan>) =>",
    replace:
      "copy: (batch: EntryBatch.EntryBatch, within: ReadonlyArray<Tracer.AnySpan>) => batch.log !== own.id && EntryBatch.highestClock(batch).wallTime < clock.current().wallTime - 2000 ? Effect.fail(NotAppended.anotherLog) :"
  },
  {
    name: "confirm-counts-twice",
    from: "harper-pro#633, L62",
    says: "a replica that has acked a write and answered a read counts twice for the confirm",
    file: "read/internal/Confirming.ts",
    find: "if (before.length >= majority) return true",
    replace:
      "if (before.length + before.filter((id) => id !== self && reading.answers.has(id)).length >= majority) return true"
  },
  {
    name: "ack-before-sync",
    from: "nats-server#7564",
    says: "what was written of a peer's log counts as durable before it was synced",
    file: "log/Appending.ts",
    find: "secured(batch, store.append(batch))",
    replace: "secured(batch, (store.steps?.write ?? store.append)(batch))"
  },
  {
    name: "self-counts-while-recovering",
    from: "nats-server#7600",
    says: "the own copy of a replica that does not vote any more completes a quorum that waits",
    file: "write/QuorumWriter.ts",
    find: "membership.isVoting() || inFlight.giveUp()",
    replace: "membership.isVoting()"
  },
  {
    name: "acks-of-another-mind",
    from: "L57",
    says: "an ack counts of one that knows of other lives of the members",
    file: "peer/internal/PushAnswers.ts",
    find: "ack.incarnation === welcome.incarnation && ack.members === members",
    replace: "ack.incarnation === welcome.incarnation && members === members",
    replicas: 4,
    kinds: ["moved"]
  },
  {
    name: "tombstones-go",
    from: "scylladb#8970, L37",
    says: "a tombstone is forgotten when it is merged, and what it deleted returns with an older entry",
    file: "record/RecordIndex.ts",
    find: "compare(pointer, held) > 0) pointers.set(id, pointer)",
    replace: "compare(pointer, held) > 0) pointer.deleted ? pointers.delete(id) : pointers.set(id, pointer)"
  },
  {
    name: "local-wins-ties",
    from: "cockroach#168541, L35",
    says: "of two writes of one clock each replica keeps the one that it had first",
    file: "record/internal/PackedWrites.ts",
    find: "if (order !== 0) return order > 0",
    replace:
      "if (Array.from({ length: 10 }).every((_, i) => bytes[version + i] === records[start + placeBytes + i])) return false\n    if (order !== 0) return order > 0"
  },
  {
    name: "leader-of-nobody",
    from: "aeron#2147",
    says: "a quorum is one of those who can be reached, so that one who reaches nobody keeps acknowledging",
    file: "quorum/AckTracker.ts",
    find: 'self.failed === undefined && self.localAt !== undefined && ownOf(self) + count(self, "acked") >= self.policy.w',
    replace:
      'self.localAt !== undefined && ownOf(self) + count(self, "acked") >= Math.min(self.policy.w, 1 + self.peers.filter(({ isConnected }) => isConnected).length)'
  },
  {
    name: "changes-end-early",
    from: "malice",
    says: "the last of several writes of a page of changes is passed over",
    file: "read/internal/LogReader.ts",
    find: "if (isAsked(Entry.headerAt(bytes, at)))",
    replace: "if (isAsked(Entry.headerAt(bytes, at)) && (from < end || from === batch.from))"
  },
  {
    name: "changes-before-durable",
    from: "L54",
    says: "the changes show what is written and may still be lost",
    changes: [
      {
        file: "read/internal/LogReader.ts",
        find: "Math.min(batch.from + batch.count - 1, logs.head(batch.log).seq)",
        replace: "batch.from + batch.count - 1"
      },
      {
        file: "log/LogReads.ts",
        find: "Effect.map(readStored(log, after, maxBytes), durablePart)",
        replace: "readStored(log, after, maxBytes)"
      }
    ]
  },
  {
    name: "reads-wait-for-the-index",
    from: "malice",
    says: "a read waits until all that was appended is merged into the index",
    file: "record/LocalRecords.ts",
    find: "  ): Effect.Effect<Newest | undefined, StoreError> =>\n    RecordKey.isWellFormed({ namespace, key })",
    replace:
      "  ): Effect.Effect<Newest | undefined, StoreError> =>\n    follower.unindexed() > 0 ? Effect.andThen(Effect.sleep(10), Effect.suspend(() => pointed(namespace, key, ofDelete))) : RecordKey.isWellFormed({ namespace, key })"
  },
  {
    name: "frontier-of-some",
    from: "malice",
    says: "the frontier is how far a majority holds a log",
    file: "peer/Frontier.ts",
    find: "const seq = Math.min(...seqs)",
    replace: "const seq = seqs.toSorted((a, b) => b - a)[seqs.length >> 1]!"
  },
  {
    name: "quiet-damage",
    from: "found by the simulator",
    says: "damage that an append finds is announced as held until something is read",
    file: "log/Appended.ts",
    find: "return damage.isNews() ?",
    replace: "return damage.isNews() && error === undefined ?"
  },
  {
    name: "former-lives-stop",
    from: "found by the simulator",
    says: "the second former life that a replica hears of is taken for a process that goes on",
    file: "peer/internal/Renewal.ts",
    find: "outlived >= peers.length && !isLater",
    replace: "outlived > 0 && !isLater",
    kinds: ["wipe", "replaced", "clock_jump"],
    first: [685]
  },
  {
    name: "boot-leaps",
    from: "found by the simulator",
    says: "a disk that was replaced, and is put back and booted, is the newest life",
    file: "identity/LogId.ts",
    find: "format(millisOf(before) + 1 + (random20 >>> 16), random20 & 0xffff)",
    replace: "format(millisOf(before) + 2 * leapMillis, random20 & 0xffff)",
    kinds: ["stand_in"]
  },
  {
    name: "boot-forgets",
    from: "found by the simulator",
    says: "what a replica acknowledged is not asked of it any more once its machine was booted",
    file: "peer/internal/Remembered.ts",
    find: "const isKept = before !== undefined && LogId.goesOn(",
    replace: "const isKept = before !== undefined && before.acked.size < 0 && LogId.goesOn(",
    kinds: ["put_back"]
  },
  {
    name: "stable-of-own",
    from: "malice",
    says: "stable time is what a replica knows of itself alone",
    file: "peer/StableTime.ts",
    find: "frontier.holdings())",
    replace: "new Map([[self, logs.vector()]]))"
  },
  {
    name: "floor-reached-at-once",
    from: "malice",
    says: "stable time follows the floors, whoever holds what was held when they were given",
    file: "peer/Floors.ts",
    find: "(seqs.get(log) ?? 0) < seq)",
    replace: "(seqs.get(log) ?? 0) < seq - 1e9)",
    kinds: ["pair_partition", "slow_link"]
  },
  {
    name: "former-life-unheld",
    from: "malice",
    says: "stable time waits for the logs of those that give floors, and not for those of former lives",
    file: "peer/Floors.ts",
    find: "[...vector, own].some(",
    replace: "[own].some(",
    kinds: ["replaced", "pair_partition"]
  },
  {
    name: "floor-not-kept",
    from: "malice",
    says: "stamps at or below the floor are taken, whatever is told of it",
    changes: [
      {
        file: "log/Appending.ts",
        find: "Result.flatMap(stamp(writes, orderOf), floor.check(orderOf))",
        replace: "stamp(writes, orderOf)"
      },
      {
        file: "write/internal/StampedCopies.ts",
        find: "if (ageMillis > horizonMillis)",
        replace: "if (ageMillis > 86_400_000)"
      }
    ]
  },
  {
    name: "floor-forgotten",
    from: "malice",
    says: "a replica that is started again knows nothing of the floor that it gave",
    changes: [
      {
        file: "log/Floor.ts",
        find: "yield* store.note(note)",
        replace: "yield* store.note(`no ${note}`)"
      },
      {
        file: "write/internal/StampedCopies.ts",
        find: "if (ageMillis > horizonMillis)",
        replace: "if (ageMillis > 86_400_000)"
      }
    ],
    kinds: ["crash"]
  },
  {
    name: "deletes-go-with-the-rest",
    from: "Cassandra's gc_grace, harper#2193",
    says: "a delete goes as soon as it is stable, whatever others still hold of what it deleted",
    file: "peer/Sweeps.ts",
    find: "return HybridLogicalClock.compare(least, unknownBefore) > 0 ? least : undefined",
    replace: "return logs.clock()",
    kinds: ["wipe", "pair_partition"]
  },
  {
    name: "atomic-entries-in-part",
    from: "malice",
    says: "an entry of several records goes when one of them is superseded",
    file: "upkeep/internal/fates.ts",
    find: "const isGoing = going === count",
    replace: "const isGoing = going > 0"
  },
  {
    name: "erased-before-all-hold",
    from: "malice",
    says: "an entry goes as soon as something newer is held here, whoever lacks that",
    file: "upkeep/internal/fates.ts",
    find: 'return everywhere !== undefined && RecordIndex.compare(everywhere, place) > 0 ? "superseded" : "left"',
    replace: 'return "superseded"'
  },
  {
    name: "erased-beyond-frontier",
    from: "malice",
    says: "an entry goes that not every member has got",
    file: "upkeep/internal/fates.ts",
    find: "if (isGoing && seq <= frontier) {",
    replace: "if (isGoing) {",
    kinds: ["slow_link"],
    compacts: true
  },
  {
    name: "old-copies-vote",
    from: "malice",
    says: "a copy that may hold what others have erased votes, and is never compared with theirs",
    file: "peer/internal/Standing.ts",
    find: 'const isStale = (): boolean => stale && standing !== "voting"',
    replace: 'const isStale = (): boolean => stale && standing === "voting" && standing !== "voting"',
    kinds: ["restore"],
    everyMillis: 4000
  },
  {
    name: "left-out-by-one",
    from: "malice",
    says: "who has marked a member leaves it out, whatever the others say",
    file: "peer/internal/Absence.ts",
    find: "if (sayers.length + 1 >= Voting.majorityOf(peers.size + 1))",
    replace: "if (sayers.length >= 0)",
    kinds: ["away"]
  },
  {
    name: "mark-taken-back-at-once",
    from: "seed 342 of an early version",
    says: "a mark that was taken back does not count, though another member may have used it",
    file: "peer/internal/Absence.ts",
    find: "Object.hasOwn(marks, peer) || lapsed.includes(peer) || Life.isLeftOut(Life.of(lives, peer))",
    replace: "Object.hasOwn(marks, peer)",
    kinds: ["away"]
  },
  {
    name: "tail-merged-blindly",
    from: "malice",
    says: "what only a replica holds that was left out is merged by its version, whatever was deleted since",
    file: "peer/internal/OnlyHere.ts",
    find: "!isInQuestion(entry, tails) ||\n  entry.records.every(",
    replace: "known.size >= 0 ||\n  entry.records.every(",
    kinds: ["away"],
    everyMillis: 4000
  },
  {
    name: "left-out-lives-stop",
    from: "seed 964 of an early version",
    says: "a life in which a member was left out counts as one that another process has",
    file: "peer/internal/Renewal.ts",
    find: "const isLived = !Life.isLeftOut(newest)",
    replace: "const isLived = Life.isLeftOut(newest) || !Life.isLeftOut(newest)",
    kinds: ["away"],
    everyMillis: 4000,
    first: [964]
  },
  {
    name: "joiner-holds-nothing-back",
    from: "malice",
    says: "a member of which nothing is remembered, as one that lost its disk, does not hold the frontier",
    file: "peer/Frontier.ts",
    find: "if (!Life.isLeftOut(Life.of(lives, peer))) held.set",
    replace: "if (!Life.isLeftOut(Life.of(lives, peer)) && membership.remembered(peer).length > 0) held.set",
    kinds: ["wipe"]
  },
  {
    name: "any-clock-is-followed",
    from: "a clock at +10 years that moved all others",
    says: "a clock that is set ahead is not held back, and every other follows it",
    changes: [
      {
        file: "log/ReplicaClock.ts",
        find: "const latest = millis + boundMillis",
        replace: "const latest = millis + 1e13"
      },
      {
        file: "log/EffectiveTime.ts",
        find: "const held = Math.min(Math.max(wallMillis, median - boundMillis), median + boundMillis)",
        replace: "const held = Math.max(wallMillis, median - boundMillis)"
      }
    ],
    everyMillis: 1000,
    kinds: ["clock_jump"]
  },
  {
    name: "more-pushes-than-the-cap",
    from: "malice",
    says: "a peer gets more pushes at once than its connection may have under way",
    file: "peer/internal/PushLoop.ts",
    find: "Semaphore.make(connection.slots)",
    replace: "Semaphore.make(4 * connection.slots)",
    kinds: ["slow_link"]
  },
  {
    name: "session-is-not-waited-for",
    from: "malice",
    says: "a read with a session is answered with what is here, and not when all that its client saw is",
    file: "read/Records.ts",
    find: "if (session === undefined) return Effect.void\n",
    replace: "if (session !== undefined || withinMillis >= 0) return Effect.void\n"
  },
  {
    name: "session-forgets-what-a-majority-holds",
    from: "malice",
    says: "a session leaves out what one peer is known to hold, and not every member",
    file: "read/ClientSessions.ts",
    find: "const isAtPeers = peerIds.every(",
    replace: "const isAtPeers = peerIds.some("
  },
  {
    name: "session-is-not-written-after",
    from: "malice",
    says: "a write with a session does not come after the clock of it",
    file: "write/internal/InSession.ts",
    find: "<= 0) return Effect.succeed(session.clock)",
    replace: "<= 0) return Effect.succeed(undefined)"
  },
  {
    name: "page-from-the-beginning",
    from: "malice",
    says: "a page begins with the first record, whatever record it was to come after",
    file: "record/Pages.ts",
    find: "if (last !== undefined) range = ",
    replace: "if (last !== undefined && last !== after) range = "
  },
  {
    name: "keys-but-the-first-left-out",
    from: "malice",
    says: "a page of keys has one of them",
    file: "record/Pages.ts",
    find: "found.push({ namespace, key })",
    replace: "if (found.length === 0) found.push({ namespace, key })",
    first: [119]
  },
  {
    name: "key-is-asked-of-a-majority",
    from: "decision 0019",
    says: "a key that its caller invented is taken for new when a majority does not hold it",
    file: "write/internal/Keyed.ts",
    find: 'consistency: "quorum", r: "all", withinMillis',
    replace: 'consistency: "quorum", withinMillis'
  },
  {
    name: "key-without-its-flag",
    from: "decision 0041",
    says: "a replica that decides about a key of a caller tells whoever asks that it does not hold it",
    file: "write/internal/Keyed.ts",
    find: "const unmark = undecided.add(mark.namespace, mark.key)",
    replace: "const unmark = (): void => {}"
  },
  {
    name: "key-of-another-write",
    from: "malice",
    says: "a write under the key of another one is answered with what became of that",
    file: "write/internal/Keyed.ts",
    find: "if (CallerKey.isSame(mark, value)) return",
    replace: "if (CallerKey.isSame(mark, value) || true) return"
  },
  {
    name: "key-decided-when-sent-again",
    from: "ours, seed 13149",
    says: "a key whose append may have taken place is decided again when it is sent to the same replica once more",
    file: "write/internal/Keyed.ts",
    find: "if (undecided.has(mark.namespace, mark.key)) return ways.refuse(leftUndecided)",
    replace: "void leftUndecided",
    first: [477]
  },
  {
    name: "any-attempt-unmarks",
    from: "ours, seed 2400000497",
    says: "an attempt with a key that has failed takes away the mark of the one that came after it",
    file: "peer/UndecidedKeys.ts",
    find: "(marked.get(name) === mark && marked.delete(name))",
    replace: "marked.delete(name)",
    first: [2400000497]
  },
  {
    name: "kept-beside-an-old-delete",
    from: "ours, seed 2000100467",
    says: "what only one replica holds is kept for a delete that stands beside other records, whatever was forgotten later",
    file: "peer/internal/OnlyHere.ts",
    find: 'if (kind === "delete" && !isAlone) return\n',
    replace: "void isAlone\n",
    first: [2800000056]
  },
  {
    name: "waits-outlive-the-index",
    from: "ours, seed 2720005096",
    says: "a read that waits for a write goes on when its replica is stopped, and no index follows the logs any more",
    file: "record/LocalRecords.ts",
    find: "Effect.suspend(() => (isClosing ? late : Effect.void))",
    replace: "Effect.void",
    first: [2720005096]
  },
  {
    name: "kept-for-a-later-write",
    from: "ours, seed 2710032310",
    says: "what only one replica holds is kept for a write that came after a delete which is forgotten, and is not everywhere yet",
    file: "peer/internal/OnlyHere.ts",
    find: "HybridLogicalClock.compare(clock, before) < 0) known.set(key, clock)",
    replace:
      'HybridLogicalClock.compare(clock, before) < 0) known.set(key, kind === "put" ? HybridLogicalClock.zero : clock)',
    first: [2710050434]
  },
  {
    name: "owner-has-all-of-its-log",
    from: "ours",
    says: "the end of a log of a member that goes on is said to be held, and stays, also where the disk of that was put back",
    file: "peer/internal/OnlyHere.ts",
    find: "isOfItsOwner(log, lives) ? (before.find((each) => each.log === log)?.seq ?? 0) : seq",
    replace: "isOfItsOwner(log, lives) ? 0 * before.length : seq",
    kinds: ["away"],
    tests: "SharedSides.test.ts"
  },
  {
    name: "side-waited-for-while-alone",
    from: "ours",
    says: "who recovers, and is the only one to hold the side of a fork that was begun first, waits for the others to go over to it",
    file: "peer/internal/Forks.ts",
    find: "membership.isToOffer() && peers.all().every(",
    replace: "membership.isToOffer() && log.length === 0 && peers.all().every(",
    kinds: ["away"],
    tests: "SharedSides.test.ts"
  },
  {
    name: "followed-clock-is-not-noted",
    from: "ours, seed 2000000501",
    says: "the note of the clock does not say what was followed of versions that had been far ahead",
    file: "log/ReplicaClock.ts",
    find: "return note.raise(later(near, clock), {",
    replace: "return note.raise(near, {",
    first: [2000000501],
    tests: "ReplicaClock.test.ts"
  },
  {
    name: "session-without-deletes-of-others",
    from: "ours, seed 5100001093",
    says: "a session does not know of a delete that a read of several replicas has shown",
    file: "read/Records.ts",
    find: "newest: reading(local.seen, Option.fromUndefinedOr)",
    replace:
      "newest: reading(local.seen, (newest) => (newest?.deleted ? Option.none() : Option.fromUndefinedOr(newest)))",
    first: [2800000354]
  },
  {
    name: "older-delete-is-shown",
    from: "ours, seed 34000233",
    says: "who has forgotten a delete, and shows an older one beside live records, does not count as one that held it",
    file: "read/internal/Confirming.ts",
    find: "(newest === undefined || (newest.deleted && Version.compare(newest, write) < 0))",
    replace: "newest === undefined",
    first: [2800000046]
  }
]
