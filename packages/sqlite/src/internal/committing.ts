/**
 * Committing to a file whose commits are synced later, by `syncing.ts`.
 */
import { EntryBatch } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Damage from "./damage.ts"
import * as Database from "./database.ts"
import type * as Guard from "./guard.ts"
import * as HeldLog from "./heldLog.ts"
import * as Rows from "./rows.ts"

/**
 * At first SQLite syncs what it commits, because the first commit may begin the write-ahead log anew, and from then on it
 * does not.
 */
export const make = (file: string, db: DatabaseSync, guard: Guard.Guard) => {
  const undo = db.prepare("UPDATE store SET undone = undone + 1")
  let isSynced = true
  db.exec("PRAGMA wal_autocheckpoint = 0")

  const synced = (): void => {
    db.exec("PRAGMA synchronous = FULL")
    isSynced = true
  }

  const unsynced = <A>(commit: () => A): A => {
    try {
      const result = commit()
      if (isSynced) db.exec("PRAGMA synchronous = OFF")
      isSynced = false
      return result
    } catch (cause) {
      if (!db.isTransaction) synced()
      throw cause
    }
  }

  /**
   * Commits a batch. A failure means that nothing of it is held, now or after a restart (NotWrittenMeansNever).
   *
   * What fails may come after the commit record was handed to the operating system, so the record may reach the disk all
   * the same, and a restart would find it. SQLite itself goes on from before the record, so one more, small commit
   * overwrites it, and the failure is certain once that commit is durable. If that fails too, nobody can know: nothing
   * more is accepted or answered, so that no answer contradicts what a restart will find.
   */
  const append = (log: Rows.HeldLog, batch: EntryBatch.EntryBatch): void => {
    try {
      unsynced(() => HeldLog.insert(log, batch))
    } catch (cause) {
      try {
        if (db.isTransaction) db.exec("ROLLBACK")
        // The table cannot be read where the log goes on, or has a row there: it does not end where it seemed to.
        if (Damage.isInTheWay(cause)) throw Rows.endUnknown(log)
        if (!endedBeforeCommit.has(Database.resultCode(cause))) {
          synced()
          undo.run()
          if (Rows.appended(log).rows.get(log.head.seq) !== undefined) throw cause
        }
      } catch (second) {
        if (second === log.damagedEnd) throw second
        const subject = `entries ${batch.from} to ${EntryBatch.last(batch)} of ${batch.log}`
        throw guard.uncertain(
          subject,
          `writing ${file} failed and could not be undone`,
          "check the disk, then restart",
          cause
        )
      }
      throw cause
    }
    log.head = EntryBatch.watermark(batch)
  }

  return {
    /** From now on SQLite syncs what it commits, until something is committed unsynced. */
    synced,
    /** Commits something that is synced later. When that fails, SQLite syncs the next commit. */
    unsynced,
    /** Commits a change of one page, unsynced. */
    touch: (): void => void unsynced(() => undo.run()),
    append
  }
}

// ---------------------------------------------------------------------------------------------------------------------

/** Result codes that SQLite gives before it writes a commit record: busy, locked, read-only, full, too big. */
const endedBeforeCommit = new Set<number | undefined>([5, 6, 8, 13, 18])
