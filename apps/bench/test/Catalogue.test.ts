import { expect, it } from "vitest"
import * as Catalogue from "../src/Catalogue.ts"
import * as Systems from "../src/Systems.ts"

it("leaves out systems that this machine lacks something for, and says what", () => {
  const lacking = { ...Systems.ws, name: "etcd", missing: () => "apt-get install etcd-server" }
  const { here, missing } = Catalogue.installed([Systems.ceiling, lacking, { ...lacking, missing: () => undefined }])
  expect(here.map(({ name }) => name)).toEqual(["ceiling", "etcd"])
  expect(missing).toEqual(["etcd is not measured: apt-get install etcd-server"])
})

it("gives every system a name of its own", () => {
  const names = Catalogue.all.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
})
