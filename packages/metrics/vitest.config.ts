import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // They share nothing but what they import, which takes a third of the time where each file imports it again.
    isolate: false,
    // Machines are shared and busy; what hangs is still found.
    testTimeout: 90_000,
    hookTimeout: 90_000,
    reporters: ["default", ["json", { outputFile: ".vitest/report.json" }]]
  }
})
