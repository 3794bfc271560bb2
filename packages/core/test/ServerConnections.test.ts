/** How many connections a server keeps, and who loses one where there are too many. */
import { assert, describe, it } from "@effect/vitest"
import { ServerConnections } from "../src/adapter.ts"
import * as Pool from "../src/peer/internal/Pool.ts"

let ports = 0
const connection = (remoteAddress = "10.0.0.1") => {
  const closed: Array<() => void> = []
  const socket = {
    remoteAddress,
    remotePort: ++ports,
    isOpen: true,
    destroy: () => {
      if (!socket.isOpen) return
      socket.isOpen = false
      closed.forEach((listener) => listener())
    },
    once: (_: "close", listener: () => void) => void closed.push(listener)
  }
  return socket
}
const many = (count: number, address?: string) => Array.from({ length: count }, () => connection(address))
const open = (connections: ReadonlyArray<{ readonly isOpen: boolean }>) => connections.filter((each) => each.isOpen)

describe("L63 connections of a server", () => {
  it("that asked nothing yet are so many at most, and the newest stay", () => {
    const server = ServerConnections.make()
    const all = many(ServerConnections.maxSilent() + 1)
    for (const each of all) server.opened(each)
    assert.deepStrictEqual(
      all.filter((each) => !each.isOpen),
      [all[0]]
    )
  })

  it("may all connect at once, as after a restart: as many as there may be clients, or 256", () => {
    for (const [clients, count] of [
      [ServerConnections.maxClients, 2048],
      [8, 256]
    ] as const) {
      const server = ServerConnections.make(clients)
      const all = many(count)
      for (const each of all) server.opened(each)
      assert.lengthOf(open(all), count)
    }
  })

  it("of clients are so many at most, and those that are there stay", () => {
    const server = ServerConnections.make(2)
    const all = many(3)
    for (const each of all) {
      server.opened(each)
      for (let i = 0; i < 3; i++) server.asked(each, false)
    }
    assert.deepStrictEqual(open(all), all.slice(0, 2))
    all[0]!.destroy()
    const next = connection()
    server.asked(next, false)
    assert.isTrue(next.isOpen)
  })

  it("are taken from the address that has most of them, and not from the others", () => {
    const server = ServerConnections.make(10)
    const few = many(2, "10.0.0.2")
    for (const each of few) server.asked(each, false)
    const flood = many(100, "10.0.0.3")
    for (const each of flood) server.asked(each, false)
    const late = connection("10.0.0.4")
    server.asked(late, false)
    assert.strictEqual(open(few).length, 2)
    assert.isTrue(late.isOpen)
    assert.deepStrictEqual(open(flood), flood.slice(0, 7))
  })

  it("of peers are beside those of clients: whatever the ones open, the others have room", () => {
    const server = ServerConnections.make(1)
    const clients = many(100)
    for (const each of clients) server.asked(each, false)
    for (const each of many(1000)) server.opened(each)
    const peers = many(ServerConnections.maxUnproven)
    for (const each of peers) {
      server.opened(each)
      server.asked(each, true)
    }
    assert.strictEqual(open(peers).length, peers.length)
    assert.strictEqual(open(clients).length, 1)
  })

  it("that ask as peers and prove nothing are so many at most, and those of members are not among them", () => {
    const server = ServerConnections.make()
    const members = many(10)
    for (const each of members) {
      server.asked(each, true)
      ServerConnections.proved({ socket: each })
    }
    const strangers = many(2 * ServerConnections.maxUnproven)
    for (const each of strangers) server.asked(each, true)
    for (const each of members) server.asked(each, true)
    assert.strictEqual(open(members).length, 10)
    assert.deepStrictEqual(open(strangers), strangers.slice(-ServerConnections.maxUnproven))
    const late = connection("10.0.0.9")
    server.asked(late, true)
    assert.isTrue(late.isOpen)
  })

  it("count as clients when they ask as both, since nobody else would bound them", () => {
    const server = ServerConnections.make(1)
    const all = many(3)
    for (const each of all) {
      server.asked(each, true)
      server.asked(each, false)
      server.asked(each, true)
    }
    assert.deepStrictEqual(open(all), all.slice(0, 1))
  })

  it("are of one kind at a time, the last that they have become", () => {
    const server = ServerConnections.make()
    const clients = many(10)
    for (const each of clients) {
      server.opened(each)
      server.asked(each, true)
      server.asked(each, false)
    }
    for (const each of many(2 * ServerConnections.maxSilent())) server.opened(each)
    for (const each of many(2 * ServerConnections.maxUnproven)) server.asked(each, true)
    assert.strictEqual(open(clients).length, 10)
  })

  it("over TLS are another object with the same ends, and counted once", () => {
    const server = ServerConnections.make(2)
    const below = many(4)
    const above = below.map(({ remotePort }) => Object.assign(connection(), { remotePort }))
    for (const [i, each] of below.entries()) {
      server.opened(each)
      if (i < 3) server.asked(above[i]!, false)
    }
    assert.deepStrictEqual(
      [...above, ...below].map((each) => each.isOpen),
      [true, true, false, true, true, true, true, true]
    )
    // The one below ends first, and is not what is counted any more.
    below[0]!.destroy()
    server.asked(above[3]!, false)
    assert.isFalse(above[3]!.isOpen)
    above[0]!.destroy()
    const next = connection()
    server.asked(next, false)
    assert.isTrue(next.isOpen)
  })

  it("are forgotten when they end, and an address without a port is nobody's", () => {
    const server = ServerConnections.make(1)
    for (let i = 0; i < 100; i++) {
      const each = connection()
      server.opened(each)
      server.asked(each, false)
      assert.isTrue(each.isOpen)
      each.destroy()
    }
    const ended = { ...connection(), remotePort: undefined }
    server.opened(ended)
    server.asked(ended, false)
  })
})

describe("a pool", () => {
  it("never holds more than it may, and the one that goes is of an address that has most", () => {
    let state = 7
    const random = (below: number) => (state = (state * 48_271) % 2_147_483_647) % below
    for (const loses of ["oldest", "newest"] as const) {
      const pool = Pool.make(8, loses)
      let held: Array<readonly [key: string, address: string]> = []
      for (let i = 0; i < 5000; i++) {
        if (random(3) === 0 && held.length > 0) {
          const [gone] = held.splice(random(held.length), 1)
          assert.isTrue(pool.remove(gone![0]))
          assert.isFalse(pool.remove(gone![0]))
          continue
        }
        const entry = [`k${i}`, `a${random(5)}`] as const
        held.push(entry)
        const loser = pool.add(...entry)
        assert.strictEqual(loser !== undefined, held.length > 8)
        if (loser === undefined) continue
        const countOf = (address: string) => held.filter(([, other]) => other === address).length
        const [, address] = held.find(([key]) => key === loser)!
        assert.strictEqual(countOf(address), Math.max(...held.map(([, other]) => countOf(other))))
        const own = held.filter(([, other]) => other === address)
        assert.strictEqual(own.at(loses === "oldest" ? 0 : -1)![0], loser)
        held = held.filter(([key]) => key !== loser)
      }
      for (const [key] of held) assert.isTrue(pool.has(key))
    }
  })

  it("are told of when they are ended, by their kind, from which address, and once", () => {
    const told: Array<readonly [string, string | undefined]> = []
    const server = ServerConnections.make(1, (reason, address) => void told.push([reason, address]))
    for (const each of many(ServerConnections.maxSilent(1) + 1, "10.0.0.1")) server.opened(each)
    for (const each of many(2, "10.0.0.2")) server.asked(each, false)
    for (const each of many(ServerConnections.maxUnproven + 1, "10.0.0.3")) server.asked(each, true)
    // Those that end by themselves are nobody's business.
    const last = connection("10.0.0.4")
    server.opened(last)
    last.destroy()
    assert.deepStrictEqual(told, [
      ["too_many_silent", "10.0.0.1"],
      ["too_many_clients", "10.0.0.2"],
      ["too_many_unproven", "10.0.0.3"],
      ["too_many_silent", "10.0.0.1"]
    ])
  })
})
