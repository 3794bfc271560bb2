/**
 * The configured name of a replica.
 *
 * Replicas are known by name and never by address or by position in a list, so that two spellings of an address are
 * not two replicas and reordering a list gives nobody the state of another (laws L13, L15). The name is chosen by the
 * operator and has to be distinct within a replica set; it appears in logs, metrics and file names, hence the small
 * alphabet.
 */
import * as Schema from "effect/Schema"

/**
 * Schema of a replica id: 1 to 64 of `A-Z a-z 0-9 . _ -`, starting with a letter or a digit. Ids compare by their
 * exact characters; `a` and `A` are different replicas.
 */
export const ReplicaId = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
    expected: "a replica id (1 to 64 of A-Z a-z 0-9 . _ -, starting with a letter or a digit)"
  })
).pipe(Schema.brand("@quorum/core/ReplicaId"))

/**
 * The configured name of a replica, checked.
 */
export type ReplicaId = typeof ReplicaId.Type

/**
 * Makes a replica id of a string known to be right, as in code and tests. Throws a `SchemaError` that says what is
 * expected when the string is not a replica id; decode with the schema where the string comes from outside.
 */
export const make: (id: string) => ReplicaId = Schema.decodeSync(ReplicaId)
