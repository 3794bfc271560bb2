/**
 * What a user would pick instead of Quorum.
 */
import { etcd } from "./Etcd.ts"
import { nats } from "./Nats.ts"
import type { Other } from "./Other.ts"
import { postgres } from "./Postgres.ts"
import { redis } from "./Redis.ts"

export type { Other, Server, Started } from "./Other.ts"

/** All of them, installed or not. */
export const all: ReadonlyArray<Other> = [etcd, postgres, redis, nats]
