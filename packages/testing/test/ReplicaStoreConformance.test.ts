/** The store in memory is the README's example. */
import "./readme/store.ts"
