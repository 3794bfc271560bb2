/** Where a replica answers its peers' WebSockets; the server and the transport have to agree on it. */
export const path = "/peer"
