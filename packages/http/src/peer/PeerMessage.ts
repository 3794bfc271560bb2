/**
 * What both ends of the peer protocol over HTTP agree on: a request is one frame, and its answer another.
 */

/** The content type of requests and answers. Anything else is not the protocol. */
export const contentType = "application/vnd.quorum.peer-frame"
