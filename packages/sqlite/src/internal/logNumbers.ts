/** The logs that the record index names, each by a number of its own: rows hold that instead of the name. */
import type { LogId } from "@quorum/core"
import { RecordIndex } from "@quorum/core/adapter"
import type { DatabaseSync } from "./nodeSqlite.ts"
import * as Database from "./database.ts"

/** Knows the numbers that the file has. */
export const make = (db: DatabaseSync) => {
  const ids = new Map<string, number>()
  const names = new Map<number, LogId.LogId>()
  const know = (id: number, log: LogId.LogId): void => {
    ids.set(log, id)
    names.set(id, log)
  }
  for (const row of db.prepare("SELECT id, name FROM log").all()) know(Number(row["id"]), row["name"] as LogId.LogId)
  const insertLog = db.prepare("INSERT INTO log (name, seq, checksum) VALUES (?, 0, ?) ON CONFLICT DO NOTHING")
  const selectLog = db.prepare("SELECT id FROM log WHERE name = ?")
  /** The logs that the transaction under way is the first to name. */
  const news: Array<LogId.LogId> = []

  return {
    /** The number of a log, which gets one if it has none. */
    of: (log: LogId.LogId): number => {
      const known = ids.get(log)
      if (known !== undefined) return known
      insertLog.run(log, RecordIndex.checkOfProgress(log, 0))
      const id = Number(selectLog.get(log)?.["id"])
      know(id, log)
      news.push(log)
      return id
    },
    /** The number of a log, if it has one. */
    known: (log: LogId.LogId): number | undefined => ids.get(log),
    /** The log of a number. Throws where there is none. */
    log: (id: number): LogId.LogId => {
      const log = names.get(id)
      if (log === undefined) throw Database.damaged(`a row of the record index names log ${id}, which is none`)
      return log
    },
    /** A transaction begins. */
    begin: (): void => void (news.length = 0),
    /** Forgets the logs that a transaction named which did not take place. Asks nothing of a file that just failed. */
    takeBack: (): void => {
      for (const log of news) {
        names.delete(ids.get(log)!)
        ids.delete(log)
      }
    }
  }
}
