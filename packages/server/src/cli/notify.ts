/**
 * Tells systemd how a service is, where it asks (`NOTIFY_SOCKET`). That is a datagram on a unix socket, which Node cannot
 * send, so systemd's own `systemd-notify` sends it: the unit needs `NotifyAccess=all`.
 */
import { Effect } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"

/** Says `READY=1`, `STOPPING=1`, `STATUS=…`. Nothing where nobody asks; a failure is a warning, and stops nobody. */
export const notify = Effect.fnUntraced(function* (...states: ReadonlyArray<string>) {
  if ((process.env["NOTIFY_SOCKET"] ?? "") === "") return
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const failed = (why: string) =>
    Effect.logWarning(
      `systemd could not be told ${states.join(" ")} (${why}): systemd-notify is needed, and NotifyAccess=all in the unit`
    )
  yield* spawner
    .exitCode(ChildProcess.make("systemd-notify", states, { stdin: "ignore", stdout: "ignore", stderr: "ignore" }))
    .pipe(
      Effect.timeout(patienceMillis),
      Effect.matchEffect({
        onFailure: (error) => failed(error.message),
        onSuccess: (code) => (code === 0 ? Effect.void : failed(`exit code ${code}`))
      })
    )
})

// ---------------------------------------------------------------------------------------------------------------------

const patienceMillis = 5000
