/**
 * The certificate by which a client of a replica is known, where its transport asks for certificates.
 */
import { Context } from "effect"

/**
 * The SHA-256 of the certificate that was shown on the connection of a request, as 64 hexadecimal digits in lower case, given
 * the request as the server hands it over; undefined where none was, or none that an authority has signed and that is valid
 * now. A transport provides it.
 */
export const ClientCertificate = Context.Reference<(source: object) => string | undefined>(
  "@quorum/core/ClientCertificate",
  { defaultValue: () => () => undefined }
)
