/**
 * The peer protocol as a table: a row for each method, with how its messages are laid out, how it fails, and how long it
 * may take. Frames, clients, handlers, and the in-memory and faulty transports follow from it; a new method is a row
 * here, and what answers it in `PeerHandler`.
 */
import type { Effect } from "effect"
import * as codecs from "./internal/codecs.ts"
import * as PeerProtocol from "./PeerProtocol.ts"

/** A row: the messages of one method. */
interface Method<Request, Answer, Failure> {
  readonly request: codecs.FrameCodec<Request>
  readonly answer: codecs.FrameCodec<Answer>
  readonly error: codecs.FrameCodec<Failure>
  /**
   * Who gives up on a call that is not answered: `call` each by its own timer, `connection` one timer for all that are
   * under way, because a timer for each costs more than the call.
   */
  readonly timeLimit: "call" | "connection"
}

const method = <Request, Answer, Failure>(row: Method<Request, Answer, Failure>) => row

/** The methods of the protocol. The numbers are the first byte of their frames, and never change their meaning. */
export const methods = {
  /** Who is there, and what it holds: first on every connection, and again as a heartbeat. */
  hello: method({
    request: codecs.json(1, PeerProtocol.Hello),
    answer: codecs.json(4, PeerProtocol.Welcome),
    error: codecs.json(8, PeerProtocol.HandshakeRefused),
    timeLimit: "call"
  }),
  /** Entries of the caller's own log; the answer is an ack. */
  push: method({
    request: codecs.push({ plain: 2, traced: 11, ahead: 15, tracedAhead: 16 }),
    answer: codecs.ack(5),
    error: codecs.json(9, PeerProtocol.PushError),
    timeLimit: "connection"
  }),
  /** Asks for entries of any log. */
  pull: method({
    request: codecs.json(3, PeerProtocol.Pull),
    answer: codecs.pulled(6, 7),
    error: codecs.json(10, PeerProtocol.PullError),
    timeLimit: "call"
  }),
  /** Asks for the newest write of a key, and has a write fetched that has to be held there. */
  read: method({
    request: codecs.json(20, PeerProtocol.Read),
    answer: codecs.readAnswer(21),
    error: codecs.json(22, PeerProtocol.ReadError),
    timeLimit: "call"
  }),
  /** Asks what is held of a write today. */
  verify: method({
    request: codecs.json(30, PeerProtocol.Verify),
    answer: codecs.json(31, PeerProtocol.Verified),
    error: codecs.json(32, PeerProtocol.ReadError),
    timeLimit: "call"
  }),
  /** Asks for the clock, so that a write can be stamped after all that is held. */
  probe: method({
    request: codecs.probe(12),
    answer: codecs.probed(13),
    error: codecs.json(14, PeerProtocol.ProbeError),
    timeLimit: "connection"
  })
}

/** The name of a method. */
export type Name = keyof typeof methods

/** What a method is asked with. */
export type RequestOf<N extends Name> = Parameters<(typeof methods)[N]["request"]["encode"]>[1]

/** What a method answers. */
export type AnswerOf<N extends Name> = Parameters<(typeof methods)[N]["answer"]["encode"]>[1]

/** How a method fails. */
export type ErrorOf<N extends Name> = Parameters<(typeof methods)[N]["error"]["encode"]>[1]

/** The names of all methods. */
export const names = Object.keys(methods) as ReadonlyArray<Name>

/**
 * The protocol as calls. A handler has `E = never`; a client adds the ways in which a transport fails.
 *
 * Ordering: pushes of one caller take effect in the order they were sent, up to the transport's `maxInFlight`.
 */
export type PeerMethods<E> = {
  readonly [N in Name]: (request: RequestOf<N>) => Effect.Effect<AnswerOf<N>, ErrorOf<N> | E>
}

/** A client of one peer. */
export type PeerClient = PeerMethods<PeerProtocol.PeerUnreachable>

/** Any call of any method, as {@link wrap} and {@link make} see it. */
export type AnyCall<E> = Effect.Effect<AnswerOf<Name>, ErrorOf<Name> | E>

/** Makes all methods from one way to have a request answered. */
export const make = <E>(call: (name: Name, request: RequestOf<Name>) => AnyCall<E>): PeerMethods<E> =>
  // Each method gets its own request and gives its own answer, which the type of `call` cannot say.
  Object.fromEntries(names.map((name) => [name, (request: RequestOf<Name>) => call(name, request)])) as never

/** Changes every call of a client, or of a handler, in the same way. */
export const wrap = <E, E2>(
  inner: PeerMethods<E>,
  change: (call: AnyCall<E>, name: Name, request: RequestOf<Name>) => AnyCall<E2>
): PeerMethods<E2> => make((name, request) => change(inner[name](request as never), name, request))
