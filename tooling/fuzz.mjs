// Sends requests and frames, most of them wrong, to real replicas: `fuzz --count N [--seed S] [--seconds T]`. Nothing may
// crash, no promise may be left unhandled, nothing may be answered with 500, and the memory has to come back.
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Inputs from "./fuzz-inputs.mjs"
import * as Sealed from "./fuzz-sealed.mjs"
import * as Options from "./options.mjs"
import { root, turboRun } from "./turbo.mjs"

const help = `
npx -y pnpm@12 fuzz --count 100000 --seed 1

Sends requests and frames, most of them wrong, to real replicas. Nothing may crash, no promise may be left unhandled, nothing
may be answered with 500, and the memory has to come back. Ends with 1 where that is not so.

  --count N    how many; 100,000 unless given
  --seed S     the same seed sends the same; a fresh one unless given
  --seconds T  stop after so long
  --no-build   with what was built last
`
const text = { type: "string" }
const options = Options.read(help, {
  count: text,
  seed: text,
  seconds: text,
  "no-build": { type: "boolean", default: false }
})
const whole = (name, usual) => Options.whole(options, name, { usual })
const count = whole("count", options.seconds === undefined ? 100_000 : Number.MAX_SAFE_INTEGER)
const seconds = whole("seconds", Number.POSITIVE_INFINITY)
const seed = whole("seed", Date.now() % 1_000_000)

if (!options["no-build"]) {
  const status = await turboRun(["build", "--filter=@quorum/http", "--filter=@quorum/ws", "--filter=@quorum/sqlite"], {
    quiet: true
  })
  if (status !== 0) process.exit(status)
}
const dist = (name, file) => import(pathToFileURL(join(root, "packages", name, "dist", `${file}.js`)).href)
const { Chain, EntryBatch, PeerFrame, PeerProtocol, Watermark } = await dist("core", "adapter")
const { Entry, HybridLogicalClock } = await dist("core", "index")

/** How much memory may be held at the end beyond what was held at the beginning, in MiB. */
const maxGrowth = 64
/** How many inputs are under way at once, and how long an answer is waited for, in milliseconds. */
const lanes = 48
const patience = 250

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
const ports = { ws: {}, http: {}, sealedWs: {}, sealedHttp: {} }
for (const set of ["ws", "http"]) for (const id of ["a", "b", "c"]) ports[set][id] = await freePort()
for (const set of ["sealedWs", "sealedHttp"]) for (const id of ["a", "b"]) ports[set][id] = await freePort()
const folder = mkdtempSync(join(tmpdir(), "quorum-fuzz-"))

const target = spawn(
  process.execPath,
  ["--expose-gc", fileURLToPath(new URL("fuzz-target.mjs", import.meta.url)), JSON.stringify({ folder, ports })],
  { stdio: ["pipe", "pipe", "inherit"] }
)
let isOver = false
const failures = []
const fail = (what, input) => {
  failures.push(what)
  console.log(input === undefined ? what : `${what}\n  ${input.toString("base64").slice(0, 4000)}`)
}
target.on("exit", (code, signal) => {
  if (!isOver) fail(`the replicas crashed (${signal ?? code})`)
  isOver = true
})
const said = createInterface({ input: target.stdout })[Symbol.asyncIterator]()
const saysNext = async () => (await said.next()).value
const measure = async () => {
  target.stdin.write("measure\n")
  return JSON.parse((await saysNext()) ?? "{}")
}

const url = (transport, id = "a") => `http://127.0.0.1:${ports[transport][id]}`
const until = async (what) => {
  for (let tries = 0; tries < 300; tries++) {
    if (await what().catch(() => false)) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error("the replicas do not get ready")
}

/** The routes that a replica tells of. */
const routesOf = async () => {
  const { paths } = await (await fetch(`${url("ws")}/openapi.json`)).json()
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [] }]) => ({
      method,
      path,
      query: parameters.filter((each) => each.in === "query").map(({ name }) => name)
    }))
  )
}

/** What a member says: the greeting of `b`, in the life that it has, and further requests of a session. */
const helloOf = async (transport) => {
  let members
  // It may be asked while a replica is busy with what else was sent, or after its connection was ended for that.
  await until(async () => {
    const response = await fetch(`${url(transport)}/v1/status`)
    members = response.ok ? (await response.json()).members : undefined
    return members !== undefined
  })
  const says = { ...members.b, voting: true, blank: false, members, remembered: [], clock: { wallTime: 1, logical: 0 } }
  const payload = { version: PeerProtocol.versions[0], cluster: "fuzz", replica: "b", ...says, vector: [], sentAt: 0 }
  return { _tag: "hello", payload }
}
const framesOf = (session, incarnation) => {
  const log = `b@${incarnation}`
  const { batch } = EntryBatch.encode(Watermark.none(log), [Entry.put("n", "k", "v")], HybridLogicalClock.zero, 1)
  const writeId = `${log}:1.00000000`
  return [
    { _tag: "push", payload: { session, batch } },
    { _tag: "push", payload: { session, batch: { ...batch, from: 3, prevChain: Chain.empty } } },
    { _tag: "pull", payload: { session, log, after: 0, maxBytes: 1000 } },
    { _tag: "read", payload: { session, namespace: "n", key: "k", have: null, confirm: null } },
    { _tag: "verify", payload: { session, writeId } },
    { _tag: "probe", payload: { session, keys: [] } }
  ].flatMap((request) => {
    try {
      return [PeerFrame.encodeRequest(1, request)]
    } catch {
      return []
    }
  })
}

const counts = { answered: 0, silent: 0, ended: 0, greeted: 0, channels: 0 }
const statuses = new Map()
const sawStatus = (status, number, input) => {
  statuses.set(status, (statuses.get(status) ?? 0) + 1)
  if (status === 500 || status === 502) fail(`input ${number} of seed ${seed} is answered with ${status}`, input)
}

/** Sends bytes on a connection of its own, or on one that is left from before, and waits for the answer. */
const overHttp = (lane, port, number, input) =>
  new Promise((resolve) => {
    const kept = lane.get(port)
    const socket = kept?.destroyed === false ? kept : connect(port, "127.0.0.1")
    lane.set(port, socket)
    let got = Buffer.alloc(0)
    const timer = setTimeout(() => done("silent", false), patience)
    const done = (how, isClean) => {
      clearTimeout(timer)
      counts[how]++
      socket.removeAllListeners()
      socket.on("error", () => {})
      if (!isClean) socket.destroy()
      resolve()
    }
    socket.on("data", (data) => {
      got = Buffer.concat([got, data])
      const head = got.indexOf("\r\n\r\n")
      if (head < 0) return
      const text = got.subarray(0, head).toString("latin1")
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)
      if (status !== null) sawStatus(Number(status[1]), number, input)
      const length = /content-length: (\d+)/i.exec(text)
      done(
        "answered",
        length !== null && got.length === head + 4 + Number(length[1]) && !/connection: close/i.test(text)
      )
    })
    socket.on("error", () => done("ended", false))
    socket.on("close", () => done("ended", false))
    socket.write(input)
  })

/** A WebSocket on which `b` was greeted, and its session. */
const greeted = (hello) =>
  new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${ports.ws.a}/peer`)
    socket.binaryType = "arraybuffer"
    const give = (session) => resolve({ socket, session, isOpen: () => socket.readyState === 1 })
    const timer = setTimeout(() => give(""), 2000)
    socket.onopen = () => socket.send(PeerFrame.encodeRequest(1, hello))
    socket.onmessage = ({ data }) => {
      clearTimeout(timer)
      const answer = PeerFrame.decodeAnswer(new Uint8Array(data))
      const session = answer._tag === "Success" ? (answer.success.message.result.success?.session ?? "") : ""
      if (session !== "") counts.greeted++
      give(session)
    }
    socket.onclose = socket.onerror = () => {
      clearTimeout(timer)
      give("")
    }
  })

const overWs = async (lane, hellos, roll) => {
  let kept = lane.get("ws")
  if (kept?.isOpen() !== true) {
    kept = await greeted(hellos.ws)
    lane.set("ws", kept)
    // A greeting with something wrong may have been that of a newer life.
    if (kept.session === "") hellos.ws = await helloOf("ws")
  }
  const hello = hellos.ws
  const { session, socket } = kept
  if (!kept.isOpen()) return void counts.ended++
  const frames = [...framesOf(session, hello.payload.incarnation), PeerFrame.encodeRequest(1, hello)]
  await new Promise((resolve) => {
    const timer = setTimeout(() => done("silent"), patience)
    const done = (how) => {
      clearTimeout(timer)
      counts[how]++
      resolve()
    }
    socket.onmessage = () => done("answered")
    socket.onclose = socket.onerror = () => done("ended")
    socket.send(Inputs.mutated(roll.of(frames), roll, frames))
  })
}

const sessions = new Map()
const frameOverHttp = async (lane, hellos, roll, number) => {
  const hello = hellos.http
  const connection = "0123456789abcdef0123456789abcdef"
  const head = `content-type: application/vnd.quorum.peer-frame\r\nquorum-connection: ${connection}`
  if (!sessions.has("http")) {
    const headers = { "content-type": "application/vnd.quorum.peer-frame", "quorum-connection": connection }
    const response = await fetch(`${url("http")}/peer`, {
      method: "POST",
      headers,
      body: PeerFrame.encodeRequest(1, hello)
    })
    const answer = PeerFrame.decodeAnswer(new Uint8Array(await response.arrayBuffer()))
    const session = answer._tag === "Success" ? answer.success.message.result.success?.session : undefined
    if (session === undefined) hellos.http = await helloOf("http")
    else sessions.set("http", session)
  }
  // One of the inputs may have begun another life of `b`, which ends the session.
  if (roll.chance(0.02)) sessions.delete("http")
  const frames = [
    ...framesOf(sessions.get("http") ?? "none", hello.payload.incarnation),
    PeerFrame.encodeRequest(1, hello)
  ]
  const body = Inputs.mutated(roll.of(frames), roll, frames)
  const text = `POST /peer HTTP/1.1\r\nhost: localhost\r\n${head}\r\ncontent-length: ${body.length}\r\n\r\n`
  const whole = Buffer.concat([Buffer.from(text), body])
  await overHttp(lane, ports.http.a, number, roll.chance(0.1) ? Inputs.mutated(whole, roll) : whole)
}

const run = async () => {
  await saysNext()
  for (const set of Object.keys(ports)) await until(async () => (await fetch(`${url(set)}/readyz`)).ok)
  const routes = await routesOf()
  const hellos = { ws: await helloOf("ws"), http: await helloOf("http") }
  const sealed = await Sealed.make({ dist, ports, helloOf, framesOf, counts, sawStatus })
  let next = 0
  const began = performance.now()
  const passed = () => (performance.now() - began) / 1000
  const some = (upTo) =>
    Promise.all(
      Array.from({ length: lanes }, async () => {
        const lane = new Map()
        while (next < upTo && passed() < seconds && !isOver) {
          const number = next++
          const roll = Inputs.diceOf(seed, number)
          const kind = roll.next()
          if (kind < 0.4) await overHttp(lane, ports[roll.of(["ws", "http"])].a, number, Inputs.request(roll, routes))
          else if (kind < 0.6) await overWs(lane, hellos, roll)
          else if (kind < 0.8) await sealed(lane, roll, number)
          else await frameOverHttp(lane, hellos, roll, number)
          if (number > 0 && number % 50_000 === 0)
            console.log(`${number} inputs, ${Math.round(number / passed())} a second`)
        }
        for (const kept of lane.values()) (kept.socket?.close ?? kept.destroy).call(kept.socket ?? kept)
      })
    )
  // What is compared is what is held after the first of them, when everything has run once.
  await some(Math.min(count, 2000))
  const before = await measure()
  await some(count)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  if (isOver) return
  const after = await measure()
  for (const set of Object.keys(ports)) await until(async () => (await fetch(`${url(set)}/healthz`)).ok)
  const mib = (bytes) => Math.round(bytes / 2 ** 20)
  const growth = mib(after.heap + after.external - before.heap - before.external)
  if (after.unhandled > 0) fail(`${after.unhandled} rejections or exceptions were not handled`)
  if (counts.channels === 0) fail("no sealed channel was greeted on, so what is in one was not tried")
  if (growth > maxGrowth) fail(`${growth} MiB more are held than before, after a collection`)
  console.log(
    `${next} inputs of seed ${seed} in ${passed().toFixed(0)} s: ${counts.answered} answered, ${counts.ended} ended by the replica, ${counts.silent} without an answer within ${patience} ms, ${counts.greeted} sessions over ws, ${counts.channels} sealed`
  )
  console.log(
    `statuses: ${[...statuses]
      .sort()
      .map(([status, times]) => `${status} ${times}`)
      .join(", ")}`
  )
  console.log(
    `held after a collection: ${mib(before.heap + before.external)} MiB before, ${mib(after.heap + after.external)} MiB after; the event loop was held for ${after.lag99.toFixed(1)} ms at most of 99 in 100 times, ${after.lag.toFixed(1)} ms of all`
  )
}

try {
  await run()
} catch (error) {
  fail(error instanceof Error ? (error.stack ?? error.message) : String(error))
} finally {
  isOver = true
  target.stdin.end()
  await new Promise((resolve) =>
    target.exitCode !== null || target.signalCode !== null ? resolve() : target.once("exit", resolve)
  )
  rmSync(folder, { recursive: true, force: true })
}
console.log(failures.length === 0 ? "nothing was found" : `${failures.length} failures`)
process.exit(failures.length === 0 ? 0 : 1)
