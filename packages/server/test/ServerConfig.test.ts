import { assert, describe, it } from "@effect/vitest"
import { Duration, Result, Schema } from "effect"
import { names, settings, variableOf } from "../src/config/settings.ts"
import * as ServerConfig from "../src/ServerConfig.ts"

const peers = { a: "http://10.0.0.1:7401", b: "http://10.0.0.2:7401", c: "http://db-c:7401" }
const open = { id: "a", data: "/data", peers }
const least = { ...open, secretFile: "s" }

const of = (settings: object, rest: ServerConfig.Sources = {}) =>
  ServerConfig.make({ object: { settings, place: "in quorum.json" }, ...rest })

const config = (settings: object = {}, rest?: ServerConfig.Sources) =>
  Result.getOrThrow(of({ ...least, ...settings }, rest))

const tls = { tlsKeyFile: "k", tlsCertFile: "c", tlsCaFile: "ca" }

/** What is wrong, a line for each. */
const wrong = (settings: object, rest?: ServerConfig.Sources): ReadonlyArray<string> => {
  const read = of(settings, rest)
  return Result.isFailure(read) ? read.failure.message.split("\n") : []
}

describe("settings", () => {
  it("make a replica of a majority on loopback at the port of its address, unless they say otherwise", () => {
    const { host, members, metrics, policy, port, store, transport } = config()
    assert.deepStrictEqual(
      { host, members, metrics, port, store, transport, n: policy.n, w: policy.w, order: policy.order },
      {
        host: "127.0.0.1",
        members: ["a", "b", "c"],
        metrics: true,
        port: 7401,
        store: "sqlite",
        transport: "ws",
        n: 3,
        w: 2,
        order: "real-time"
      } as never
    )
    assert.strictEqual(Duration.toMillis(policy.ackTimeout), 2000)
  })

  it("come from flags before variables before the file", () => {
    const file = { ...least, port: 1, host: "127.0.0.3", cluster: "of the file" }
    const environment = { QUORUM_PORT: "2", QUORUM_HOST: "127.0.0.2" }
    const { cluster, host, port } = Result.getOrThrow(of(file, { environment, flags: { port: "3" } }))
    assert.deepStrictEqual({ cluster, host, port }, { cluster: "of the file", host: "127.0.0.2", port: 3 })
  })

  it("are the same in a flag, a variable and a file", () => {
    const text = {
      peers: "a=http://10.0.0.1:7401, b=http://10.0.0.2:7401,c=http://db-c:7401",
      secretFile: "s",
      hosts: "db, store.example",
      origins: "https://app.example,http://localhost:5173",
      maxConnections: "100",
      clientRate: "50",
      tokensFile: "t",
      statusFor: "admin",
      w: "all",
      ackTimeoutMillis: "500",
      metrics: "false",
      namespaces: '{"s":{"w":1,"reads":"quorum"}}'
    }
    const environment = Object.fromEntries(
      Object.entries({ id: "a", data: "/data", ...text }).map(([name, value]) => [variableOf(name), value])
    )
    const file = {
      hosts: ["db", "store.example"],
      origins: ["https://app.example", "http://localhost:5173"],
      maxConnections: 100,
      clientRate: 50,
      tokensFile: "t",
      statusFor: "admin",
      w: "all",
      ackTimeoutMillis: 500,
      metrics: false,
      namespaces: { s: { w: 1, reads: "quorum" } }
    }
    const expected = config(file)
    assert.deepStrictEqual(Result.getOrThrow(ServerConfig.make({ environment })), expected)
    assert.deepStrictEqual(Result.getOrThrow(of(least, { flags: text })), expected)
  })

  it("of a namespace are those of all where it says nothing, and an order goes with its own w", () => {
    const { namespaces, reads } = config({
      ackTimeoutMillis: 700,
      namespaces: { s: { w: 1 }, all: { w: "all" }, slow: { ackTimeoutMillis: 9000 }, r: { reads: "linearizable" } }
    })
    const shown = Object.entries(namespaces).map(([name, { ackTimeout, order, w }]) => [
      name,
      w,
      order,
      Duration.toMillis(ackTimeout)
    ])
    assert.deepStrictEqual(shown, [
      ["s", 1, "clock", 700],
      ["all", 3, "real-time", 700],
      ["slow", 2, "real-time", 9000]
    ])
    assert.deepStrictEqual(reads, { r: "linearizable" })
  })

  it("say for all, and for single namespaces, whether writes are taken where too few replicas are there", () => {
    const one = config({ namespaces: { s: { unavailable: "accept" } } })
    assert.deepStrictEqual([one.policy.unavailable, one.namespaces["s"]?.unavailable], ["refuse", "accept"])
    const all = config({ unavailable: "accept", namespaces: { s: { unavailable: "refuse" }, t: { w: "all" } } })
    assert.deepStrictEqual(
      [all.policy.unavailable, all.namespaces["s"]?.unavailable, all.namespaces["t"]?.unavailable],
      ["accept", "refuse", "accept"]
    )
  })

  it("need an id and a folder, and say how to give them", () => {
    assert.deepStrictEqual(wrong({}), [
      '--id: it is missing; give it, or QUORUM_ID, or "id" in the file of --config',
      '--data: it is missing; give it, or QUORUM_DATA, or "data" in the file of --config'
    ])
  })

  it("make a replica set of one where there are no peers", () => {
    const { members, policy, port } = Result.getOrThrow(of({ id: "a", data: "/data" }))
    assert.deepStrictEqual([members, policy.n, policy.w, port], [["a"], 1, 1, 7401] as never)
  })
})

describe("a wrong setting", () => {
  it("is named as it is called where it was given, all of them at once", () => {
    const environment = { QUORUM_STORE: "postgres", QUORUM_PROT: "1", PATH: "/bin", QUORUM_TOKEN: "t", QUORUM_URL: "u" }
    const lines = wrong(
      { ...least, prt: 3, w: 0, namespaces: { s: { order: "time" } } },
      { environment, flags: { port: "1e3" } }
    )
    assert.deepStrictEqual(
      lines.map((line) => line.split(": ")[0]),
      [
        "--port",
        "QUORUM_STORE",
        "QUORUM_PROT",
        '"prt" in quorum.json',
        '"w" in quorum.json',
        '"namespaces" in quorum.json'
      ]
    )
    assert.include(lines[2]!, "did you mean QUORUM_PORT?")
    assert.include(lines[3]!, "did you mean port?")
    assert.include(lines[5]!, "s.order: ")
  })

  it("is wrong although another source goes before it", () => {
    assert.lengthOf(wrong({ ...least, port: "x" }, { flags: { port: "1" } }), 1)
  })

  it("says what Kubernetes puts into QUORUM_PORT for a service of that name", () => {
    const [line] = wrong(least, { environment: { QUORUM_PORT: "tcp://10.96.0.1:7401" } })
    assert.include(line!, "enableServiceLinks: false")
  })

  it("is a peer that is given twice, or without an address", () => {
    assert.deepStrictEqual(wrong({ id: "a", data: "d" }, { flags: { peers: "a=x,a=y" } }), [
      "--peers: a is given twice"
    ])
    assert.match(wrong({ id: "a", data: "d" }, { flags: { peers: "a" } })[0]!, /^--peers: Expected id=URL/)
  })

  it("are peers that name nobody, as an empty variable does, and not a set of one that acknowledges alone", () => {
    const nobody = "it names no replica; name all of the set, this one among them, or leave it out for a set of one"
    const alone = { id: "a", data: "d" }
    assert.deepStrictEqual(
      [
        wrong(alone, { flags: { peers: "" } }),
        wrong(alone, { environment: { QUORUM_PEERS: " , " } }),
        wrong({ ...alone, peers: {} })
      ],
      [[`--peers: ${nobody}`], [`QUORUM_PEERS: ${nobody}`], [`"peers" in quorum.json: ${nobody}`]]
    )
  })

  it("is an id that is no peer, and a w beyond the set", () => {
    assert.deepStrictEqual(wrong({ ...least, id: "d", w: 4 }), [
      '"id" in quorum.json: d is not among the peers, which are a, b, c',
      '"w" in quorum.json: 4 replicas cannot hold a write, because the set has 3'
    ])
  })

  it("is an interface that others reach, without a secret of the peers", () => {
    const settings = { ...open, host: "0.0.0.0" }
    assert.match(wrong(settings)[0]!, /^"host" in quorum.json: .*give --secret-file, or certificates/)
    assert.match(wrong({ ...settings, insecure: true })[0]!, /^"host" in quorum.json: /)
    assert.deepStrictEqual(wrong({ ...settings, ...tls }), [])
    assert.deepStrictEqual(wrong({ ...settings, secretFile: "s" }), [])
    assert.deepStrictEqual(wrong(settings, { hasSecret: true }), [])
    assert.deepStrictEqual(wrong({ ...least, host: "127.0.0.9" }), [])
  })

  it("is nothing that says how replicas prove to each other who they are, unless it is said that they do not", () => {
    const [line, ...others] = wrong(open)
    assert.deepStrictEqual(others, [])
    assert.match(line!, /^--secret-file: it is missing: .*openssl rand.*--tls-key-file.*--insecure true$/)
    assert.isTrue(Result.getOrThrow(of({ ...open, insecure: true })).insecure)
    assert.isFalse(config().insecure)
    // Nobody can be a peer in a set of one.
    assert.deepStrictEqual(wrong({ id: "a", data: "d" }), [])
  })

  it("is a part of TLS without the others", () => {
    const { tlsKeyFile, ...rest } = tls
    assert.deepStrictEqual(wrong({ ...open, tlsKeyFile }), [
      '--tls-cert-file: it is missing; TLS needs --tls-cert-file and --tls-ca-file beside "tlsKeyFile" in quorum.json'
    ])
    assert.match(wrong({ ...open, ...rest })[0]!, /^--tls-key-file: it is missing/)
    assert.match(wrong({ ...least, tlsAllowlistFile: "l" })[0]!, /^--tls-key-file: it is missing/)
    const { port, tls: options } = config({ ...tls, peers: { ...peers, a: "https://a.example:7500" } })
    assert.deepStrictEqual([port, options?.key, options?.allowlist], [7500, "k", undefined])
  })

  it("is a port that nobody gave where something else answers the address", () => {
    assert.include(wrong({ ...least, peers: { ...peers, a: "https://a.example" } })[0]!, "say on which port")
  })

  it("L66 has the policy of every namespace that it names, whatever that is called", () => {
    for (const namespace of ["__proto__", "constructor", "toString", "ü"]) {
      const namespaces = JSON.parse(`{ "${namespace}": { "w": 3, "reads": "quorum" } }`) as object
      const made = config({ namespaces })
      assert.deepStrictEqual(Object.entries(made.reads), [[namespace, "quorum"]])
      assert.deepStrictEqual(
        Object.entries(made.namespaces).map(([name, { w }]) => [name, w]),
        [[namespace, 3]]
      )
    }
  })

  it("has no name of a replica set that is no text", () => {
    assert.include(wrong({ ...least, cluster: "a\ud800" })[0]!, '"cluster" in quorum.json: Expected well-formed text')
  })

  const anyName = Schema.Literals([...names, "x"])
  it.prop(
    "never throws, whatever is given",
    [Schema.Record(anyName, Schema.Json), Schema.Record(anyName, Schema.String)],
    ([object, flags]) => void of(object, { flags })
  )
})

describe("a setting that would do nothing", () => {
  const inert = (settings: object) => wrong({ ...least, ...settings })

  it("is an error that says why", () => {
    for (const [settings, why] of [
      [
        { store: "lmdb", maxBytes: 2 ** 30 },
        '"maxBytes" in quorum.json: it would do nothing: it is for the store sqlite'
      ],
      [{ w: 1, order: "real-time" }, '"order" in quorum.json: it would do nothing: w is 1 of 3'],
      [{ insecure: true }, '"insecure" in quorum.json: it would do nothing: peers prove who they are, by the secret'],
      [{ insecure: true, ...tls }, "by certificates"],
      [{ hosts: ["10.0.0.9"] }, "10.0.0.9 is an address"],
      [{ hosts: ["DB-C"] }, "DB-C is known already"],
      ...["*", "*.example", "app.example:8080", "http://app.example", "app.example/", "a b", "bücher.example"].map(
        (host) => [{ hosts: [host] }, `no request names ${JSON.stringify(host)} as its host`] as const
      ),
      ...["", "\ud800", "a\0b", "n".repeat(256)].map(
        (namespace) => [{ namespaces: { [namespace]: { w: 3 } } }, "none can be called"] as const
      ),
      [{ namespaces: { s: {} } }, "s says nothing"],
      [{ statusFor: "open" }, '"statusFor" in quorum.json: it would do nothing: without tokens'],
      [{ metricsFor: "open" }, '"metricsFor" in quorum.json: it would do nothing: without tokens'],
      [{ tokensFile: "t", metrics: false, metricsFor: "open" }, "there are no metrics"],
      [{ namespaces: { s: { reads: "local" } } }, "s.reads: reads are local"],
      [{ namespaces: { s: { w: 1, order: "real-time" } } }, "s.order: w is 1 of 3"],
      [{ w: 1, unavailable: "accept" }, '"unavailable" in quorum.json: it would do nothing: one replica'],
      [{ namespaces: { s: { w: 1, unavailable: "accept" } } }, "s.unavailable: one replica"]
    ] as const) {
      assert.lengthOf(inert(settings), 1)
      assert.include(inert(settings)[0]!, why)
    }
  })

  it("is one about peers, in a set that has none", () => {
    for (const more of [
      { transport: "ws" },
      { insecure: true },
      { clockBoundMillis: 1000 },
      { clockSkewWarnMillis: 1000 }
    ]) {
      assert.include(wrong({ id: "a", data: "d", ...more })[0]!, "it would do nothing: the replica set has one member")
    }
  })

  it("is one about members that are away, where the others are no majority", () => {
    const pair = { peers: { a: "http://x:1", b: "http://y:1" } }
    for (const more of [{ awayHours: 24 }, { awayBytes: 2 ** 30 }]) {
      assert.include(inert({ ...pair, ...more })[0]!, "without one of them, the others are no majority")
      assert.deepStrictEqual(inert(more), [])
    }
    assert.include(inert({ awayHours: 0, awayBytes: 2 ** 30 })[0]!, "leave one of the two out")
  })

  it("take a part of an hour, in decimal digits", () => {
    assert.strictEqual(config({}, { flags: { awayHours: "0.25" } }).awayHours, 0.25)
    assert.include(wrong(least, { flags: { awayHours: "1e9" } })[0]!, "Expected a number as 12 or 0.5")
  })

  it("is none of those that are given in an ordinary file", () => {
    assert.deepStrictEqual(
      inert({
        transport: "http",
        w: "majority",
        order: "clock",
        hosts: ["db", "app.example", "A_b.example."],
        maxBytes: 2 ** 30
      }),
      []
    )
  })
})

it("every setting says what it is for, and which values it takes", () => {
  for (const name of names) {
    const { description, metavar } = settings[name]
    assert.isAbove(description.length, 10, name)
    assert.isAbove(metavar.length, 1, name)
  }
})
