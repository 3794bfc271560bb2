/**
 * Where peers answer, for transports that find them by url.
 */
import { Result, Schema } from "effect"
import type * as ReplicaId from "../identity/ReplicaId.ts"
import type { Members } from "../identity/ReplicaSet.ts"

/** The addresses of the peers are not usable as configured. `detail` names the replica and what is wrong. */
export class InvalidPeerUrls extends Schema.TaggedError<InvalidPeerUrls>()("InvalidPeerUrls", {
  detail: Schema.String
}) {
  override get message(): string {
    return `invalid peer urls: ${this.detail}`
  }
}

/**
 * Where each replica answers, by replica id: a base url, with a path when a proxy adds one. Every peer needs one. This
 * replica may be listed too, so that all members can share one configuration; whoever is not a member may not.
 */
export type PeerUrls = Readonly<Record<string, string>>

/**
 * Checks the addresses and normalises them (no slash at the end): no peer without one, no stranger, no two spellings
 * of one address (law L13), and no credentials, which would end up in logs. Returns the peers only, with the scheme of
 * the transport: `http` and `ws` name the same places, and so do `https` and `wss`.
 */
export const check = (
  members: Members,
  urls: PeerUrls,
  scheme: "http" | "ws"
): Result.Result<ReadonlyMap<ReplicaId.ReplicaId, string>, InvalidPeerUrls> => {
  const fail = (detail: string) => Result.fail(new InvalidPeerUrls({ detail }))
  const byUrl = new Map<string, string>()
  const byId = new Map<string, string>()
  const known: ReadonlyArray<string> = [members.self, ...members.peers]
  for (const [id, text] of Object.entries(urls)) {
    if (!known.includes(id)) return fail(`${id} is not a member of the replica set`)
    const url = URL.parse(text)
    const isSecure = url?.protocol === "https:" || url?.protocol === "wss:"
    if (url === null || !(isSecure || url.protocol === "http:" || url.protocol === "ws:")) {
      return fail(`${id}: ${JSON.stringify(text)} is not a url that starts with http:// or https://, ws:// or wss://`)
    }
    if (url.username !== "" || url.password !== "") return fail(`${id}: a url may not contain a user or a password`)
    if (url.search !== "" || url.hash !== "") return fail(`${id}: a url may not contain a query or a fragment`)
    const address = `${scheme}${isSecure ? "s" : ""}://${url.host}${url.pathname.replace(/\/+$/, "")}`
    const other = byUrl.get(address)
    if (other !== undefined) return fail(`${other} and ${id} have the same url, ${address}`)
    byUrl.set(address, id)
    byId.set(id, address)
  }
  const peers = new Map<ReplicaId.ReplicaId, string>()
  for (const peer of members.peers) {
    const url = byId.get(peer)
    if (url === undefined) return fail(`${peer} has no url`)
    peers.set(peer, url)
  }
  return Result.succeed(peers)
}
