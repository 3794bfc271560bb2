/** The recipes name settings that there are, and commands that run. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as ServerConfig from "../src/ServerConfig.ts"

const text = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../recipes/${name}`, import.meta.url)), "utf8")

/** What is wrong with settings, as lines. */
const wrong = (sources: ServerConfig.Sources): string => {
  const read = ServerConfig.make(sources)
  return Result.isFailure(read) ? read.failure.message : ""
}

const Environment = Schema.Record(Schema.String, Schema.String)

const Compose = Schema.fromJsonString(
  Schema.Struct({
    name: Schema.String,
    services: Schema.Record(
      Schema.String,
      Schema.Struct({
        build: Schema.Literal("."),
        environment: Environment,
        secrets: Schema.Array(Schema.String),
        volumes: Schema.Array(Schema.String),
        ports: Schema.Array(Schema.String),
        stop_grace_period: Schema.String,
        restart: Schema.String
      })
    ),
    secrets: Schema.Record(Schema.String, Schema.Struct({ file: Schema.String })),
    volumes: Schema.Record(Schema.String, Schema.Struct({}))
  })
)

/** What is installed beside the workspace, see `linters/package.json`. */
const linters = new URL("./linters/node_modules/", import.meta.url)
const isMissing = !existsSync(linters)
const load = createRequire(linters)

const strict = { onExcessProperty: "error" } as const

/** The environment that the image sets. */
const imageEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Array.from(text("docker/Dockerfile").matchAll(/^ENV (.*)$/gm), ([, line]) =>
      line!.split(" ").map((pair) => pair.split("=") as [string, string])
    ).flat()
  )

interface Resource {
  readonly apiVersion: string
  readonly kind: string
}

/**
 * What a compiler says of resources that are written as what they are: Kubernetes drops fields that it does not know, and
 * so do its schemas, where a literal of TypeScript may have no others.
 */
const objections = (items: ReadonlyArray<Resource>): string => {
  const folder = mkdtempSync(fileURLToPath(new URL("quorum-recipe-", linters)))
  try {
    const lines = items.flatMap((item, i) => [
      `import type { I${item.kind} as K${i} } from "kubernetes-models/${item.apiVersion}"`,
      `export const item${i}: K${i} = ${JSON.stringify(item)}`
    ])
    const file = join(folder, "items.ts")
    writeFileSync(file, lines.join("\n"))
    const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc")
    const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--ignoreConfig", file]
    return spawnSync(process.execPath, [compiler, ...options], { encoding: "utf8" }).stdout
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("recipes", () => {
  it("the settings beside the systemd unit can be used", () => {
    assert.strictEqual(wrong({ object: { settings: JSON.parse(text("quorum.json")), place: "in quorum.json" } }), "")
  })

  it.skipIf(spawnSync("systemd-analyze", ["--version"]).status !== 0)("systemd takes the unit", () => {
    const folder = mkdtempSync(join(tmpdir(), "quorum-unit-"))
    try {
      const unit = join(folder, "quorum.service")
      writeFileSync(unit, text("quorum.service"))
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" })
      assert.strictEqual(status, 0, stderr)
      assert.notInclude(stderr, "quorum.service")
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it("the image runs the command itself, as a user of its own, with settings that there are", () => {
    const lines = text("docker/Dockerfile").split("\n")
    const of = (name: string) =>
      lines.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1))
    assert.deepStrictEqual(of("USER"), ["node"])
    assert.deepStrictEqual([of("ENTRYPOINT"), of("CMD")], [['["quorum"]'], ['["serve"]']])
    const environment = { ...imageEnvironment(), QUORUM_ID: "a" }
    assert.strictEqual(wrong({ environment }), "")
    for (const line of lines) {
      assert.match(line, /^(?:#|$| |FROM node:2[46]|(?:RUN|USER|ENV|VOLUME|EXPOSE|STOPSIGNAL|ENTRYPOINT|CMD) )/)
    }
  })

  it.skipIf(isMissing)("a linter has nothing to say of the Dockerfile (skipped where it is not installed)", () => {
    const { validate } = load("dockerfile-utils") as { readonly validate: (text: string) => ReadonlyArray<object> }
    assert.deepStrictEqual(validate(text("docker/Dockerfile")), [])
    assert.lengthOf(validate("FROM node\nCMD a\nEXPOSE port"), 1)
  })

  it.skipIf(isMissing)(
    "Kubernetes takes what is in its list, by its schemas, and no other fields (skipped where they are not installed)",
    () => {
      const { items } = JSON.parse(text("kubernetes/quorum.json")) as { readonly items: ReadonlyArray<Resource> }
      for (const item of items) {
        const Model = load(`kubernetes-models/${item.apiVersion}`)[item.kind] as new (item: Resource) => {
          readonly validate: () => void
        }
        new Model(item).validate()
      }
      assert.strictEqual(objections(items), "")
      const misspelt = text("kubernetes/quorum.json").replace("readinessProbe", "readynessProbe")
      assert.match(objections(JSON.parse(misspelt).items), /readynessProbe.* does not exist/)
    },
    120_000
  )

  it("compose names services, volumes and secrets that it has, and each service is a member", () => {
    const { secrets, services, volumes } = Schema.decodeSync(Compose, strict)(text("docker/compose.json"))
    for (const [name, service] of Object.entries(services)) {
      const environment = { ...imageEnvironment(), ...service.environment }
      const config = Result.getOrThrow(ServerConfig.make({ environment }))
      assert.strictEqual(config.id, name)
      assert.deepStrictEqual(config.members.toSorted(), Object.keys(services).toSorted() as never)
      assert.strictEqual(config.secretFile, `/run/secrets/${service.secrets[0]}`)
      assert.property(secrets, service.secrets[0]!)
      assert.property(volumes, service.volumes[0]!.split(":")[0]!)
      assert.strictEqual(service.volumes[0]!.split(":")[1], config.data)
    }
  })

  it("every pod of the StatefulSet is a member, and is asked where the replica answers", () => {
    const { items } = JSON.parse(text("kubernetes/quorum.json"))
    const of = (kind: string) => items.filter((item: { kind: string }) => item.kind === kind)
    const [set] = of("StatefulSet")
    const { spec } = set.spec.template
    const [container] = spec.containers
    const env = Object.fromEntries(
      container.env.map(({ name, value }: { name: string; value?: string }) => [name, value])
    )
    for (let i = 0; i < set.spec.replicas; i++) {
      const config = Result.getOrThrow(
        ServerConfig.make({ environment: { ...imageEnvironment(), ...env, QUORUM_ID: `${set.metadata.name}-${i}` } })
      )
      assert.lengthOf(config.members, set.spec.replicas)
      assert.strictEqual(new URL(config.peers[config.id]!).hostname, `${config.id}.${set.spec.serviceName}`)
      assert.strictEqual(config.port, container.ports[0].containerPort)
      assert.deepStrictEqual(config.hosts, [of("Service")[1].metadata.name])
      const mounts = container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)
      assert.isTrue(mounts.some((path: string) => config.data.startsWith(path)))
    }
    assert.strictEqual(container.readinessProbe.httpGet.path, "/readyz")
    assert.strictEqual(container.startupProbe.httpGet.path, "/healthz")
    // That fails while a disk is full, and a restart makes no room.
    assert.deepStrictEqual(container.livenessProbe.tcpSocket, { port: container.ports[0].name })
    assert.strictEqual(spec.enableServiceLinks, false)
    const labels = set.spec.template.metadata.labels
    for (const { spec } of of("Service")) assert.deepStrictEqual(spec.selector, labels)
    assert.deepStrictEqual(set.spec.selector.matchLabels, labels)
    for (const { name } of container.volumeMounts) {
      const known = [
        ...spec.volumes.map((volume: { name: string }) => volume.name),
        ...set.spec.volumeClaimTemplates.map((claim: { metadata: { name: string } }) => claim.metadata.name)
      ]
      assert.include(known, name)
    }
  })
})
