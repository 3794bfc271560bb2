// Installs the packages as they would be published, outside the workspace, and uses them.
//
// Packs every package, checks each tarball with publint and attw, installs them with npm into empty projects in a
// temporary folder, checks the types of a program there and runs it. Needs what a user has: Node, npm and the registry.
import { execFileSync } from "node:child_process"
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { turboRun } from "./turbo.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const read = (path) => JSON.parse(readFileSync(join(root, path), "utf8"))

/**
 * Each project: the program of `tooling/outside` that it runs, and what a user would install for it. What the registry
 * would bring with that (`brings`) is taken from here.
 */
const projects = [
  { program: "alone.ts", packages: ["client"], also: [], withoutEffect: true },
  { program: "client.ts", packages: ["client", "core", "http", "node", "sqlite"], also: ["@effect/platform-node"] },
  { program: "core.ts", packages: ["core"], also: [] },
  { program: "lmdb.ts", packages: ["core", "lmdb"], also: [] },
  { program: "http.ts", packages: ["core", "http", "node", "sqlite"], also: ["@effect/platform-node"] },
  { program: "metrics.ts", packages: ["core", "http", "metrics", "node", "sqlite"], also: ["@effect/platform-node"] },
  {
    program: "server.ts",
    packages: ["server"],
    brings: ["client", "core", "http", "lmdb", "metrics", "node", "sqlite", "ws"],
    also: []
  },
  { program: "ws.ts", packages: ["core", "node", "sqlite", "ws"], also: ["@effect/platform-node"] }
]

const run = (command, args, cwd) => {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], env })
  } catch (error) {
    process.stderr.write(`${error.stdout ?? ""}${error.stderr ?? ""}`)
    console.error(`failed: ${command} ${args.join(" ")}`)
    process.exit(1)
  }
}

// What the workspace's own installer set must not reach npm.
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|pnpm_|PNPM_|NODE_PATH$|INIT_CWD$)/.test(name))
)
/** The pnpm that runs this script. */
const pnpm = process.env.npm_execpath ?? "pnpm"
const bin = (name) => join(root, "node_modules/.bin", name)

/** The version that the workspace's catalog pins, so that what is tested here is what was tested there. */
const pinned = (name) => {
  const match = new RegExp(`^  "?${name}"?: (.+)$`, "m").exec(readFileSync(join(root, "pnpm-workspace.yaml"), "utf8"))
  if (match === null) throw new Error(`${name} is not in the catalog of pnpm-workspace.yaml`)
  return `${name}@${match[1]}`
}

/** A program that fails when anything of a package can be imported but what it exports. */
const closed = (
  name
) => `for (const path of ["dist/index.js", "src/index.ts", "dist/internal/parts.js", "internal/parts"]) {
  const outcome = await import(\`@quorum/${name}/\${path}\`).then(() => "open", ({ code }) => code)
  if (outcome !== "ERR_PACKAGE_PATH_NOT_EXPORTED") throw new Error(\`@quorum/${name}/\${path}: \${outcome}\`)
}`

const status = await turboRun(["build", "--filter=./packages/*", "--output-logs=errors-only"], { quiet: true })
if (status !== 0) process.exit(status)

const work = mkdtempSync(join(tmpdir(), "quorum-packages-"))
try {
  const tarballs = {}
  for (const manifest of globSync("packages/*/package.json", { cwd: root }).sort()) {
    const folder = join(root, manifest, "..")
    const { name } = read(manifest)
    const packed = JSON.parse(run(pnpm, ["pack", "--json", "--pack-destination", work], folder))
    tarballs[name] = packed.filename
    run(bin("publint"), ["run", packed.filename, "--strict"], folder)
    run(bin("attw"), [packed.filename, "--profile", "esm-only", "--format", "ascii", "--no-color"], folder)
    console.log(`${name}: packed, publint and attw have nothing to say`)
  }
  for (const { also, brings = [], packages, program, withoutEffect = false } of projects) {
    const project = join(work, program.replace(".ts", ""))
    mkdirSync(project)
    writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }))
    cpSync(join(root, "tooling/outside", program), join(project, program))
    cpSync(join(root, "tooling/outside/tsconfig.json"), join(project, "tsconfig.json"))
    run(
      "npm",
      [
        ["install", "--no-audit", "--no-fund", "--loglevel=error"],
        [...packages, ...brings].map((name) => tarballs[`@quorum/${name}`]),
        [...(withoutEffect ? [] : ["effect"]), ...also, "typescript", "@types/node"].map(pinned)
      ].flat(),
      project
    )
    run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."], project)
    for (const name of packages) run(process.execPath, ["--input-type=module", "--eval", closed(name)], project)
    const said = run(process.execPath, ["--disable-warning=ExperimentalWarning", program], project)
    const installed = packages.map((name) => `@quorum/${name}`)
    console.log(`${installed.join(" + ")}, installed with npm: ${said.trim()}`)
  }
} finally {
  rmSync(work, { recursive: true, force: true })
}
