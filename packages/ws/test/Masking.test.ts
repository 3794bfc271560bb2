/** When messages are masked. */
import { createHash } from "node:crypto"
import { createServer, type AddressInfo } from "node:net"
import { NodeWS } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Masking from "../src/internal/Masking.ts"

const isMasked = (url: string): boolean => Masking.optionsOf(new URL(url)).generateMask === undefined

/** The first frame that comes over a connection which is opened with these options. */
const firstFrame = (options: NodeWS.ClientOptions): Effect.Effect<Buffer> =>
  Effect.callback((resume) => {
    const server = createServer((socket) => {
      let isOpen = false
      socket.on("data", (bytes: Buffer) => {
        if (isOpen) {
          resume(Effect.succeed(bytes))
          return void socket.destroy()
        }
        isOpen = true
        const key = /sec-websocket-key: (.+)\r/i.exec(bytes.toString("latin1"))![1]!
        // RFC 6455, section 1.3.
        const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
        socket.write(
          `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
        )
      })
    }).listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const connection = new NodeWS.WebSocket(`ws://127.0.0.1:${port}`, options)
      connection.on("error", () => undefined)
      connection.on("open", () => connection.send(new Uint8Array([7, 8, 9])))
    })
    return Effect.sync(() => server.close())
  })

describe("what is sent to a peer", () => {
  it("is masked where something could stand between and read it", () => {
    for (const url of [
      "ws://db-1.internal:4000",
      "ws://10.0.0.7:4000",
      "ws://127.evil.example",
      "ws://[fd00::1]:4000"
    ]) {
      assert.isTrue(isMasked(url), url)
    }
  })

  it("is not within TLS, and within one machine", () => {
    for (const url of [
      "wss://db-1.internal",
      "ws://localhost:1",
      "ws://127.0.0.1:1",
      "ws://127.8.9.1:1",
      "ws://[::1]:1"
    ]) {
      assert.isFalse(isMasked(url), url)
    }
  })

  it.live("stands in its frame as it is then, after a masking key of 0", () =>
    Effect.gen(function* () {
      const frame = yield* firstFrame(Masking.optionsOf(new URL("ws://127.0.0.1")))
      assert.deepStrictEqual([...frame], [0x82, 0x83, 0, 0, 0, 0, 7, 8, 9])
      const masked = yield* firstFrame(Masking.optionsOf(new URL("ws://db-1.internal")))
      assert.deepStrictEqual([...masked.subarray(0, 2)], [0x82, 0x83])
      assert.deepStrictEqual(
        [...masked.subarray(6)].map((byte, i) => byte ^ masked[2 + i]!),
        [7, 8, 9]
      )
    })
  )
})
