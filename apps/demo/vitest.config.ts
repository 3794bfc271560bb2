import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Much of the time is spent waiting for processes and for what is due: two files at once also on two processors.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Machines are shared and busy; what hangs is still found.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    reporters: ["default", ["json", { outputFile: ".vitest/report.json" }]]
  }
})
