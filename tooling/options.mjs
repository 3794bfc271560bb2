// What a command of the repository is asked for: its options, or `--help`, or an option that it does not have.
import { parseArgs } from "node:util"

/** Reads the options; ends the process with 0 after `--help`, and with 2 where there is something that is none. */
export const read = (help, options) => {
  const say = `${help.trim()}\n`
  try {
    const { values } = parseArgs({ options: { ...options, help: { type: "boolean", short: "h", default: false } } })
    if (!values.help) return values
    process.stdout.write(say)
    process.exit(0)
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${say}`)
    process.exit(2)
  }
}

/** A whole number among the options, or `usual` where it is not given. */
export const whole = (options, name, { least = 0, usual } = {}) => {
  const text = options[name]
  if (text === undefined) return usual
  if (/^\d{1,15}$/.test(text) && Number(text) >= least) return Number(text)
  console.error(`--${name} is a whole number from ${least} on, not ${text}`)
  process.exit(2)
}
