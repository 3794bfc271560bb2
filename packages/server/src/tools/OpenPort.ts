/**
 * A port that wants no tokens: what that means to others, and whether they reach it.
 */
import http from "node:http"
import https from "node:https"
import { networkInterfaces } from "node:os"
import { PeerSecret } from "@quorum/core/adapter"

/** What is wrong with it, and what to do. */
export const what = "everybody who reaches it may read and write"
export const remedy = "give it a tokensFile, or let only its clients reach the port"

/** Whether a url leads to this machine, by an address that no other has. */
export const isLoopback = (url: string): boolean =>
  PeerSecret.isLoopback(new URL(url).hostname.replaceAll(/^\[|\]$/g, ""))

/**
 * Where a replica that was asked over loopback answers too, as one does that listens on all addresses of its machine: the
 * first of these, those of this machine unless given, at which it is the same. It is asked there: what it says of itself to
 * strangers need not tell where it listens, and where the port of a container is passed on it would not know.
 */
export const elsewhere = async (
  url: string,
  incarnation: string,
  addresses: ReadonlyArray<string> = own()
): Promise<string | undefined> => {
  const found = await Promise.all(addresses.map((address) => incarnationAt(url, address)))
  return addresses.find((_, i) => found[i] === incarnation)
}

// ---------------------------------------------------------------------------------------------------------------------

/** Those that others may reach, but for addresses that mean another machine on each interface. */
const own = (): ReadonlyArray<string> =>
  Object.values(networkInterfaces())
    .flatMap((addresses = []) => addresses)
    .filter(({ address, internal }) => !internal && !address.startsWith("fe80:"))
    .map(({ address }) => address)

/** How long it may take: it is this machine that is asked. */
const patienceMillis = 2000

const incarnationAt = (url: string, address: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const target = new URL(`${url}/v1/status`)
    target.hostname = address.includes(":") ? `[${address}]` : address
    const { get } = target.protocol === "https:" ? https : http
    const signal = AbortSignal.timeout(patienceMillis)
    // Nothing secret is said, and the certificate is of the name, not of the address.
    const asked = get(target, { agent: false, rejectUnauthorized: false, signal }, (answer) => {
      let text = ""
      answer.setEncoding("utf8").on("data", (piece: string) => (text += piece))
      answer.once("end", () => resolve(incarnationOf(text))).once("error", () => resolve(undefined))
    })
    asked.once("error", () => resolve(undefined))
  })

const incarnationOf = (text: string): string | undefined => {
  try {
    const { identity } = JSON.parse(text) as { readonly identity?: { readonly incarnation?: string } }
    return identity?.incarnation
  } catch {
    return undefined
  }
}
