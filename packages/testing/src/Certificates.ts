/**
 * Certificates for tests, made by `openssl`: an authority, and what it signs.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** The files of one certificate. */
export interface Files {
  readonly key: string
  readonly certificate: string
}

/** For whom a certificate stands, and when. */
export interface Subject {
  /** Its names, as `openssl` takes them: `URI:quorum://notes/a`, `DNS:a.example`, or several with commas between them. */
  readonly names: string
  /** From when and until when it is valid; from now on for 30 days unless given. */
  readonly from?: Date
  readonly to?: Date
}

/** An authority. */
export interface Authority {
  /** The file of its certificate. */
  readonly authority: string
  /** Signs a new certificate of a new key; its files are called `name`, and exchanged when there are some. */
  readonly sign: (name: string, subject: Subject) => Files
}

/** Makes an authority in a folder, which is made if it is missing. */
export const authority = (folder: string): Authority => {
  mkdirSync(folder, { recursive: true })
  const file = (name: string) => join(folder, name)
  openssl(["req", "-x509", ...newKey("authority"), "-days", "365"], folder)
  // What `openssl ca` wants to know; with it, and with nothing simpler, a certificate begins and ends when it is told.
  writeFileSync(file("authority.cnf"), configuration)
  writeFileSync(file("index.txt"), "")
  return {
    authority: file("authority.pem"),
    sign: (name, { from = new Date(Date.now() - 60_000), names, to = new Date(Date.now() + 30 * dayMillis) }) => {
      const files = { key: file(`${name}.key`), certificate: file(`${name}.pem`) }
      openssl(["req", "-new", ...newKey(name, "request")], folder)
      writeFileSync(file(`${name}.ext`), `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`)
      const dates = ["-startdate", utc(from), "-enddate", utc(to)]
      const paths = ["-in", `${name}.request`, "-out", `${name}.pem`, "-extfile", `${name}.ext`]
      openssl(["ca", "-batch", "-notext", "-config", "authority.cnf", ...dates, ...paths], folder)
      return files
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const dayMillis = 24 * 3600 * 1000

const openssl = (args: ReadonlyArray<string>, folder: string): void =>
  void execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] })

const newKey = (name: string, ending = "pem"): ReadonlyArray<string> => [
  "-newkey",
  "ec",
  "-pkeyopt",
  "ec_paramgen_curve:prime256v1",
  "-nodes",
  "-subj",
  `/CN=${name}`,
  "-keyout",
  `${name}.key`,
  "-out",
  `${name}.${ending}`
]

/** A time as certificates have it. */
const utc = (date: Date): string =>
  date
    .toISOString()
    .replaceAll(/[-:T]|\.\d+/g, "")
    .slice(2)

const configuration = `
[ca]
default_ca = own
[own]
database = index.txt
certificate = authority.pem
private_key = authority.key
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
`
