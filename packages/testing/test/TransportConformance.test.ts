/** The transport in memory is the README's example. */
import "./readme/transport.ts"
