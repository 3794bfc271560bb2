// The program as one of a command line; a page calls it by itself.
import { program } from "./elsewhere.mjs"

console.log(JSON.stringify(await program(process.argv.slice(2))))
