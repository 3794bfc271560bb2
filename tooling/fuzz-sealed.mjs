// What `fuzz` sends to replicas whose peers share a secret, as a member that has it: openings of channels, and frames on
// them, with something wrong before they are sealed, or after.
import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import * as Inputs from "./fuzz-inputs.mjs"

/** The secret that the replicas are given, and that the member has. */
export const secret = "fuzz".repeat(8)

const patience = 250

/**
 * Sends inputs as member `b` to replica `a` of two sets, over ws and over http. `helloOf` and `framesOf` make what is said in
 * a channel, and `counts` says how often a channel was opened and greeted on (`channels`).
 */
export const make = async ({ dist, ports, helloOf, framesOf, counts, sawStatus }) => {
  const { PeerChannel, PeerCodes, PeerFrame } = await dist("core", "adapter")
  const { NodeCodes } = await dist("node", "index")
  const codes = Effect.runSync(Effect.provide(PeerCodes.PeerCodes, NodeCodes.layer))
  const provers = [codes.prover(Buffer.from(secret))]
  const members = { cluster: "fuzz", self: "b", members: ["a", "b"], peers: ["a"] }
  const opening = () => PeerChannel.open({ members, codes, provers: () => provers }, "a")
  const hellos = {}

  const sessionIn = (bytes) => {
    if (bytes === undefined) return undefined
    const answer = PeerFrame.decodeAnswer(bytes)
    return answer._tag === "Success" ? answer.success.message.result.success?.session : undefined
  }

  /** Opens a channel by `exchange`, which sends bytes and gives what is answered, and greets on it. */
  const greeted = async (kind, exchange) => {
    const hello = (hellos[kind] ??= await helloOf(kind))
    const begun = opening()
    const answer = await exchange(begun.bytes)
    if (answer === undefined) return undefined
    const channel = await Effect.runPromise(Effect.orElseSucceed(begun.answered(answer), () => undefined))
    if (channel === undefined) return undefined
    const welcome = await exchange(channel.seal(PeerFrame.encodeRequest(1, hello)))
    const session = welcome === undefined ? undefined : sessionIn(channel.open(welcome))
    // A greeting with something wrong may have been that of a newer life.
    if (session === undefined) delete hellos[kind]
    else counts.channels++
    return session === undefined
      ? undefined
      : { channel, frames: [...framesOf(session, hello.payload.incarnation), PeerFrame.encodeRequest(1, hello)] }
  }

  /** What goes on a channel: frames that a member seals, whatever is in them, and bytes that nobody sealed so. */
  const inputsOf = ({ channel, frames }, roll) => {
    const frame = roll.of(frames)
    const others = [...frames, opening().bytes]
    switch (roll.below(8)) {
      case 0:
      case 1:
      case 2:
        return [channel.seal(Inputs.mutated(frame, roll, frames))]
      case 3:
      case 4:
        return [Inputs.mutated(channel.seal(frame), roll, others)]
      case 5: {
        const sealed = channel.seal(frame)
        return [sealed, sealed]
      }
      case 6:
        return [Inputs.mutated(opening().bytes, roll, others)]
      default:
        return [Inputs.mutated(frame, roll, others)]
    }
  }

  /** A WebSocket that answers one message after the other; `undefined` when it ends or stays silent. */
  const connected = (port) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/peer`)
      socket.binaryType = "arraybuffer"
      let heard = () => {}
      socket.onmessage = ({ data }) => heard(new Uint8Array(data))
      socket.onclose = socket.onerror = () => {
        heard(undefined)
        resolve(undefined)
      }
      const exchange = (bytes, millis = 2000) =>
        new Promise((answered) => {
          const timer = setTimeout(() => heard(undefined), millis)
          heard = (answer) => {
            clearTimeout(timer)
            heard = () => {}
            answered(answer)
          }
          if (socket.readyState === 1) socket.send(bytes)
          else heard(undefined)
        })
      socket.onopen = () => resolve({ socket, exchange, isOpen: () => socket.readyState === 1 })
    })

  const overWs = async (lane, roll) => {
    let kept = lane.get("sealed ws")
    if (kept?.isOpen() !== true) {
      kept = await connected(ports.sealedWs.a)
      if (kept === undefined) return void counts.ended++
      lane.set("sealed ws", kept)
      // Some openings are wrong from the beginning.
      if (roll.chance(0.1)) await kept.exchange(Inputs.mutated(opening().bytes, roll), patience)
      else kept.inner = await greeted("sealedWs", kept.exchange)
    }
    if (kept.inner === undefined) {
      kept.socket.close()
      lane.delete("sealed ws")
      return void counts.ended++
    }
    for (const input of inputsOf(kept.inner, roll)) {
      const answer = await kept.exchange(input, patience)
      counts[answer !== undefined ? "answered" : kept.isOpen() ? "silent" : "ended"]++
    }
  }

  /** The channel of a lane, and the name under which it goes. */
  const overHttpOf = new WeakMap()
  const overHttp = async (lane, roll, number) => {
    if (!overHttpOf.has(lane)) overHttpOf.set(lane, { connection: randomUUID().replaceAll("-", ""), inner: undefined })
    const own = overHttpOf.get(lane)
    const { connection } = own
    const headers = { "content-type": "application/vnd.quorum.peer-frame", "quorum-connection": connection }
    const post = async (body, millis = patience) => {
      try {
        const signal = AbortSignal.timeout(millis)
        const response = await fetch(`http://127.0.0.1:${ports.sealedHttp.a}/peer`, {
          method: "POST",
          headers,
          body,
          signal
        })
        sawStatus(response.status, number, Buffer.from(body))
        const bytes = new Uint8Array(await response.arrayBuffer())
        counts.answered++
        return response.ok ? bytes : undefined
      } catch (error) {
        counts[error.name === "TimeoutError" ? "silent" : "ended"]++
        return undefined
      }
    }
    // Whatever becomes of one input, the channel goes on; it is left for another now and then.
    if (own.inner === undefined || roll.chance(0.02))
      own.inner = await greeted("sealedHttp", (bytes) => post(bytes, 2000))
    if (own.inner !== undefined) for (const input of inputsOf(own.inner, roll)) await post(input)
  }

  return (lane, roll, number) => (roll.chance(0.5) ? overWs(lane, roll) : overHttp(lane, roll, number))
}
