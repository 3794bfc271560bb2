/**
 * What a person sees while a command works: lines, and below them a bar on a terminal. Where the output is not a
 * terminal, progress is a line now and then.
 */
import { styleText } from "node:util"
import { Clock, Context, Effect, Layer } from "effect"
import { number } from "./Text.ts"

/** Where a command says what it does. */
export class Progress extends Context.Service<
  Progress,
  {
    /** Says something that stays, in a colour where the output has colours. */
    readonly say: (text: string, tone?: Tone) => Effect.Effect<void>
    /** Says how far something is: how much of what it counts is done, and of how much where that is known. */
    readonly step: (label: string, done: number, total: number | undefined, unit?: string) => Effect.Effect<void>
    /** Ends the bar of the last step. */
    readonly finish: Effect.Effect<void>
  }
>()("@quorum/server/tools/Progress") {}

/** How something is meant: all went well, something did not, or it is beside the point. */
export type Tone = "good" | "bad" | "quiet"

/** The part of a stream of Node that is needed here. */
export interface Output {
  readonly isTTY?: boolean | undefined
  /** Whether it shows colours: Node says so of a terminal, by its kind and by `NO_COLOR`. */
  readonly hasColors?: () => boolean
  readonly columns?: number | undefined
  readonly write: (text: string) => unknown
}

/** A bar on a terminal, lines elsewhere. */
export const layer = (output: Output): Layer.Layer<Progress> =>
  Layer.sync(Progress, () => (output.isTTY === true ? onTerminal(output) : inLines(output)))

/**
 * Text as it may be printed: what comes from an input, a key say, must not move the cursor, change the title of a terminal,
 * or have the rest of its line shown in another order. Control characters but for line breaks are shown as their escapes,
 * and so is what ends a line or turns the direction of text.
 */
export const printable = (text: string): string =>
  Array.from(text, (character) => {
    const code = character.codePointAt(0)!
    const isControl = (code < 0x20 && character !== "\n") || (code >= 0x7f && code < 0xa0)
    const turns = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)
    return isControl || turns ? `\\u${code.toString(16).padStart(4, "0")}` : character
  }).join("")

/** A bar that fits in `columns`; where nobody knows how much it will be, how much it is. */
export const bar = (label: string, done: number, total: number | undefined, columns: number, unit?: string): string => {
  const head = headOf(label)
  const said = countOf(done, total, unit)
  if (total === undefined) return `${head}${said}`.slice(0, Math.max(0, columns - 1))
  const part = total === 0 ? 1 : Math.min(1, done / total)
  const tail = ` ${String(Math.floor(part * 100)).padStart(3)} %  ${said}`
  const width = Math.min(40, columns - head.length - tail.length - 1)
  if (width < 5) return `${head}${tail}`.slice(0, Math.max(0, columns - 1))
  const full = Math.floor(part * width)
  return `${head}${"█".repeat(full)}${"░".repeat(width - full)}${tail}`
}

// ---------------------------------------------------------------------------------------------------------------------

const headOf = (label: string): string => `  ${label.padEnd(12)}`

const countOf = (done: number, total: number | undefined, unit: string | undefined): string =>
  `${number(done)}${total === undefined ? "" : ` of ${number(total)}`}${unit === undefined ? "" : ` ${unit}`}`

/** Text in a colour, where the output has some. Its control characters are shown as their escapes before. */
const painted = (output: Output, text: string, tone: Tone | undefined): string => {
  const shown = printable(text)
  if (tone === undefined || output.isTTY !== true || output.hasColors?.() !== true) return shown
  return styleText(styles[tone], shown, { validateStream: false })
}

const styles = { good: "green", bad: "red", quiet: "dim" } as const

/** How often the bar is drawn at most, in milliseconds. */
const redrawMillis = 50

const onTerminal = (output: Output): Progress["Service"] => {
  let shown = ""
  let drawnAt = 0
  const clear = () => (shown === "" ? "" : "\r\u001b[2K")
  return {
    say: (text, tone) => Effect.sync(() => void output.write(`${clear()}${painted(output, text, tone)}\n${shown}`)),
    step: (label, done, total, unit) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if ((total === undefined || done < total) && now - drawnAt < redrawMillis) return
        drawnAt = now
        const before = clear()
        shown = bar(label, done, total, output.columns ?? 80, unit)
        output.write(before + shown)
      }),
    finish: Effect.sync(() => {
      if (shown !== "") output.write("\n")
      shown = ""
    })
  }
}

/** From how much on, of what may be any amount, a line is written each time that it is twice as much. */
const firstCount = 1000

const inLines = (output: Output): Progress["Service"] => {
  let said = ""
  let next = firstCount
  /** Whether there is a line to write: a tenth more, or twice as much. */
  const isNews = (label: string, done: number, total: number | undefined): boolean => {
    if (total === undefined) {
      if (done < next) return false
      next = done * 2
      return true
    }
    const tenth = total === 0 ? 10 : Math.floor((Math.min(done, total) / total) * 10)
    const text = `${label} ${tenth}`
    if (text === said || tenth === 0) return false
    said = text
    return true
  }
  return {
    say: (text) => Effect.sync(() => void output.write(`${printable(text)}\n`)),
    step: (label, done, total, unit) =>
      Effect.sync(() => {
        if (isNews(label, done, total)) output.write(`${headOf(label)}${countOf(done, total, unit)}\n`)
      }),
    finish: Effect.sync(() => {
      said = ""
      next = firstCount
    })
  }
}
