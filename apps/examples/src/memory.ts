/**
 * An agent's memory: what it was told and did, in order, and what it holds to be true. A step is remembered whole, with
 * all that followed from it, or not at all, so that an agent that is started again goes on where it was.
 */
import type { QuorumClient } from "@quorum/client"

/** One step of an agent. */
export interface Step {
  readonly said: string
  /** What it holds to be true from then on, by subject. */
  readonly facts: Readonly<Record<string, string>>
}

/** The memory of one agent. */
export const open = (client: QuorumClient, agent: string) => {
  /** In the order of the steps: numbers of one length are in the order of their text. */
  const keyOf = (step: number): string => `step/${String(step).padStart(12, "0")}`

  /** The last steps, the latest first. */
  const recent = async (count: number): Promise<ReadonlyArray<Step & { readonly number: number }>> => {
    const steps: Array<Step & { readonly number: number }> = []
    for await (const record of client.list(agent, { prefix: "step/", reverse: true, pageSize: count })) {
      steps.push({ ...record.json<Step>(), number: Number(record.key.slice("step/".length)) })
      if (steps.length === count) break
    }
    return steps
  }

  return {
    recent,
    /** Remembers a step. When it returns, any minority of the machines may be lost. */
    remember: async (step: number, { facts, said }: Step): Promise<void> => {
      const learnt = Object.entries(facts).map(([subject, fact]) => ({
        namespace: agent,
        key: `fact/${subject}`,
        value: fact
      }))
      await client.commit([{ namespace: agent, key: keyOf(step), value: { json: { said, facts } } }, ...learnt])
    },
    /** What it holds to be true of a subject; what everybody was told is seen, whoever asks. */
    fact: async (subject: string): Promise<string | undefined> =>
      (await client.get(agent, `fact/${subject}`, { consistency: "linearizable" }))?.text(),
    /** The number of the next step. */
    next: async (): Promise<number> => ((await recent(1))[0]?.number ?? 0) + 1
  }
}
