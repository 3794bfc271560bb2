/**
 * A peer of the ceiling, as a process: appends what it is sent, and says up to where it holds the log.
 */
import { WebSocketServer } from "ws"
import * as Lines from "../Lines.ts"
import * as Codec from "./Codec.ts"
import * as Log from "./Log.ts"

const { folder, port }: { folder: string; port: number } = JSON.parse(process.argv[2]!)
const log = Log.open(folder)
const server = new WebSocketServer({ host: "127.0.0.1", port, perMessageDeflate: false })

server.on("connection", (socket) =>
  socket.on("message", (message: Buffer) => {
    log.append(Codec.decodeMessage(message))
    socket.send(Codec.encodeAck(log.head()))
  })
)
server.on("listening", () => Lines.serve(Lines.peerOnly))
