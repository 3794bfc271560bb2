/**
 * `GET /v1/backup`: all that this replica durably holds at this moment, as a file that `quorum restore` takes.
 *
 * It is written beside the logs first, so the disk needs as much room again, beside what the replica keeps of it for deletes
 * and its peers, and removed when it was sent. One at a time. Of a replica that does not vote none is made: it may lack what was
 * acknowledged, and nobody would see that before the file is needed.
 * A token of namespaces does not reach it.
 */
import { statfs } from "node:fs/promises"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { Backup, ReplicaStatus } from "@quorum/core"
import { Problem, ReplicaServer, ServerLimits } from "@quorum/core/adapter"
import { type ClientApiServer, ClientTokens } from "@quorum/http"
import { Effect, FileSystem, Layer, Semaphore } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import * as ErrorAnswer from "./tools/ErrorAnswer.ts"
import * as Unread from "./tools/Unread.ts"

/** Where it is. */
export const path = "/v1/backup"

/** What the OpenAPI document says of it. */
export const described: ClientApiServer.FurtherRoute = {
  method: "GET",
  path,
  operation: {
    operationId: "backup.take",
    tags: ["replica"],
    summary: "Take a backup",
    description:
      "All that the replica durably holds at this moment, as a file that `quorum restore` takes. One at a time; the disk of " +
      "the replica needs as much room again meanwhile. A token has to reach all namespaces.",
    parameters: [],
    responses: {
      "200": {
        description: "The file. It is whole when as many bytes came as its length says.",
        content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } }
      },
      "400": ErrorAnswer.described("There are parameters, and none is known here."),
      "401": ErrorAnswer.described("The replica wants a token, and got none that it knows."),
      "403": ErrorAnswer.described("The token does not reach so far."),
      "429": ErrorAnswer.described("The client asks more often than it may; `Retry-After` says when to try again."),
      "507": ErrorAnswer.described("The disk of the replica has too little room for it."),
      "503": ErrorAnswer.described(
        "Another backup is made, the replica does not vote, or the store cannot be read; `Retry-After` says when to try again."
      )
    }
  }
}

/** The route, for a replica that keeps its files in this folder. */
export const layer = (folder: string) =>
  HttpRouter.use((router) =>
    Effect.gen(function* () {
      const backup = yield* Backup.Backup
      const replica = yield* ReplicaStatus.ReplicaStatus
      const fs = yield* FileSystem.FileSystem
      const turn = yield* Semaphore.make(1)
      const file = join(folder, "backup.sending")
      const remove = Effect.forEach([file, `${file}.partial`], (path) =>
        Effect.ignore(fs.remove(path, { force: true }))
      )
      // A process that was killed leaves its copy, and perhaps no room.
      yield* remove
      /** Until the request is over, whether its answer was read, broke off or was none but a head. */
      const kept = Effect.acquireRelease(turn.takeIfAvailable(1), (taken) =>
        taken ? Effect.andThen(remove, turn.release(1)) : Effect.void
      )
      /** Nobody else could take one, and the copy would stay. */
      const giveUp = Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ source }) =>
        Effect.andThen(
          Effect.logWarning("a backup was given up: its client has read nothing for a minute"),
          Effect.sync(() => ServerLimits.end(source))
        )
      )
      const send = Effect.gen(function* () {
        if (!(yield* kept)) return busy
        const { compaction, obstacle, room, voting } = replica.current()
        if (!voting) return lacking(obstacle)
        const wanted = (compaction.space?.taken ?? 0) - (compaction.space?.free ?? 0) + (room.reserve ?? 0)
        const left = yield* freeBytes(folder)
        if (left < wanted) return noRoom(wanted, left)
        yield* ClientTokens.audit("a backup is taken")
        return yield* remove.pipe(
          Effect.andThen(Effect.provideService(backup.toFile(file), FileSystem.FileSystem, fs)),
          Effect.andThen(fs.stat(file)),
          Effect.flatMap(({ size }) =>
            Effect.map(Unread.watched(fs.stream(file), giveUp), (pieces) =>
              HttpServerResponse.stream(pieces, {
                contentType: "application/octet-stream",
                contentLength: Number(size)
              })
            )
          ),
          Effect.catch((error) =>
            Effect.as(Effect.logError("a backup could not be made", error), failed(error.message))
          )
        )
      })
      yield* router.add(
        "GET",
        path,
        ReplicaServer.exactly(path, () => send)
      )
    })
  ).pipe(Layer.provide(NodeFileSystem.layer))

// ---------------------------------------------------------------------------------------------------------------------

const answer = (error: string, message: string) =>
  HttpServerResponse.setHeader(Problem.make(503, error, message), "retry-after", "1")

/** What its disk has for this user; no end where it cannot be asked. */
const freeBytes = (folder: string) =>
  Effect.promise(() =>
    statfs(folder).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => Infinity
    )
  )

const noRoom = (wanted: number, left: number) => {
  const message = `no backup is made: it takes ${wanted} bytes with what is kept free, and the disk of this replica has ${left}; make room, or ask another replica`
  return Problem.make(507, "disk_low", message)
}

const lacking = (obstacle: string | null) =>
  answer("not_ready", `no backup is made, since this replica may lack what was acknowledged: ${obstacle}; ask another`)

const busy = answer("overloaded", "another backup is made at this replica; ask another one, or again later")

const failed = (why: string) => answer("store_failed", `no backup could be made: ${why}`)
