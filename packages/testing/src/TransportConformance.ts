/**
 * The suite of the transport port: what every `PeerTransport` and its server have to do.
 */
import type { Layer } from "effect"
import * as Conformance from "./Conformance.ts"
import * as Answers from "./internal/transport/answers.ts"
import * as Bytes from "./internal/transport/bytes.ts"
import * as Calls from "./internal/transport/calls.ts"
import * as Connections from "./internal/transport/connections.ts"
import * as Failures from "./internal/transport/failures.ts"
import * as Handshake from "./internal/transport/handshake.ts"
import * as Leaks from "./internal/transport/leaks.ts"
import type { Wire } from "./Wire.ts"

/** The cases, as data: run one by itself with `Conformance.run`. */
export const cases: ReadonlyArray<Conformance.Case<Wire>> = [
  ...Handshake.cases,
  ...Calls.cases,
  ...Answers.cases,
  ...Failures.cases,
  ...Bytes.cases,
  ...Connections.cases,
  ...Leaks.cases
]

/**
 * The names of the cases that need a port to send bytes to and connections to count. A transport that does not run over
 * TCP from replica to replica skips them: `needPorts.map((name) => ({ case: name, reason: "…" }))`.
 */
export const needPorts: ReadonlyArray<string> = [...Bytes.cases, ...Connections.cases].map(({ name }) => name)

/** Registers the suite with vitest. The layer is built anew for every case. */
export const suite = <E>(name: string, layer: Layer.Layer<Wire, E>, options?: Conformance.Options): void =>
  Conformance.register(name, cases, layer, options)
