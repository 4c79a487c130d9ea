// The record in a real Chromium: no request, no error, no overflow, readable by everybody.
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nvlinkHardware, vgpuHardware } from "./fixtures/synthetic-gpus.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { buildRecordData } from "./record-data.ts";
import type { RecordMaterial } from "./record-material.ts";
import { renderRecord } from "./render-record.ts";

const executablePath = [
  process.env["CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find((path) => path !== undefined && existsSync(path));

if (executablePath === undefined) {
  process.stderr.write("browser tests skipped: no Chromium found; set CHROMIUM to its path\n");
}

const languages = ["zh", "en"] as const;
const themes = ["light", "dark"] as const;
const widths = [1440, 390] as const;

/** Arguments and settings of many characters without a space, and a variant that was not measured. */
function crowdedMaterial(): RecordMaterial {
  const material = syntheticMaterial();
  const long = JSON.stringify({ sizes: Array.from({ length: 80 }, (_, size) => 8 * size) });
  return {
    ...material,
    measured: material.measured.filter(({ point }) => point.startsWith("fp32")),
    run: {
      ...material.run,
      experimentSource: `args: { compilation-config: '${long}' }`,
      starts: material.run.starts.map((start) => ({
        ...start,
        facts: {
          ...start.facts,
          argv: ["serve", "--compilation-config", long, "--served-model-name", "a/".repeat(90)],
          config: { compilation_config: long, model: `/models/${"deep/".repeat(60)}` },
        },
      })),
    },
    experimentDefaults: [{ path: `variants.fp32.engine.args.${"x".repeat(60)}`, value: long }],
    reproduce: `benchbook run experiments/quickstart.yaml --only ${"fp32/c1,".repeat(30)}q8/c1`,
  };
}

describe.skipIf(executablePath === undefined)("the record in Chromium", () => {
  let folder = "";
  let browser: Browser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "benchbook-browser-"));
    const data = buildRecordData(syntheticMaterial());
    await renderRecord(data, { languages, formats: ["html"], outDir: folder });
    await renderRecord(buildRecordData(crowdedMaterial()), {
      languages,
      formats: ["html"],
      outDir: join(folder, "crowded"),
    });
    for (const [name, hardware] of Object.entries({ vgpu: vgpuHardware, nvlink: nvlinkHardware })) {
      await renderRecord(buildRecordData(syntheticMaterial({ hardware })), {
        languages,
        formats: ["html"],
        outDir: join(folder, name),
      });
    }
    browser = await chromium.launch({
      ...(executablePath === undefined ? {} : { executablePath }),
      args: ["--no-sandbox"],
    });
  });

  afterAll(async () => {
    await browser.close();
    await rm(folder, { recursive: true, force: true });
  });

  interface Opened {
    readonly page: Page;
    /** Console errors, exceptions, and every request but the page itself. */
    readonly troubles: readonly string[];
  }

  async function open(
    language: string,
    options: BrowserContextOptions,
    subfolder = "",
  ): Promise<Opened> {
    const context = await browser.newContext({ offline: true, ...options });
    const page = await context.newPage();
    const troubles: string[] = [];
    const address = pathToFileURL(join(folder, subfolder, `record.${language}.html`)).href;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) troubles.push(message.text());
    });
    page.on("pageerror", (error) => troubles.push(error.message));
    page.on("request", (request) => {
      const url = request.url();
      if (url.split("#")[0] !== address && !url.startsWith("data:")) troubles.push(url);
    });
    await page.goto(address);
    await page.evaluate("document.fonts.ready");
    return { page, troubles };
  }

  for (const language of languages) {
    for (const theme of themes) {
      for (const width of widths) {
        it(`opens without trouble: ${language}, ${theme}, ${width} px`, async () => {
          const { page, troubles } = await open(language, {
            viewport: { width, height: 900 },
            colorScheme: theme,
          });
          expect(await page.locator("main section").count()).toBe(12);
          expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
          const wide = await page.locator("figure svg.wid").first().isVisible();
          expect(wide).toBe(width === 1440);
          const { violations } = await new AxeBuilder({ page }).analyze();
          const grave = violations.filter(
            ({ impact }) => impact === "serious" || impact === "critical",
          );
          expect(
            grave.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160) ?? ""}`),
          ).toEqual([]);
          expect(troubles).toEqual([]);
          await page.context().close();
        });
      }
    }
  }

  for (const language of languages) {
    it(`keeps long arguments and settings within the page, on a phone and in print: ${language}`, async () => {
      const viewport = { width: 390, height: 900 };
      const { page } = await open(language, { viewport }, "crowded");
      await page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })");
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
      // A4 less its margins at 96 px an inch.
      await page.setViewportSize({ width: 665, height: 900 });
      await page.emulateMedia({ media: "print" });
      const wide = await page.evaluate(
        "[...document.querySelectorAll('pre, dd, td code')].filter((one) => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0).map((one) => one.outerHTML.slice(0, 120))",
      );
      expect(wide).toEqual([]);
      await page.context().close();
    });
  }

  for (const name of ["vgpu", "nvlink"]) {
    it(`has room for GPUs, on a phone and in print: ${name}`, async () => {
      const { page, troubles } = await open("zh", { viewport: { width: 390, height: 900 } }, name);
      await page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })");
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(390);
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(
        violations
          .filter(({ impact }) => impact === "serious" || impact === "critical")
          .map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 160) ?? ""}`),
      ).toEqual([]);
      await page.setViewportSize({ width: 665, height: 900 });
      await page.emulateMedia({ media: "print" });
      const cut = await page.evaluate(
        "[...document.querySelectorAll('table.t')].filter((one) => one.offsetWidth > one.parentElement.clientWidth + 1).map((one) => `${one.offsetWidth} ${one.innerText.slice(0, 60)}`)",
      );
      expect(cut).toEqual([]);
      expect(troubles).toEqual([]);
      await page.context().close();
    });
  }

  it("sets its text in the fonts that it brings", async () => {
    const { page } = await open("zh", { viewport: { width: 1440, height: 900 } });
    const loaded = await page.evaluate(
      '[...document.fonts].filter((face) => face.status === "loaded").map((face) => face.family)',
    );
    expect(loaded).toEqual(expect.arrayContaining(["BB Sans", "BB Mono", "BB Han"]));
    await page.context().close();
  });

  it("fits the cover on one screen", async () => {
    const { page } = await open("en", { viewport: { width: 1440, height: 900 } });
    const box = await page.locator("header").boundingBox();
    expect((box?.y ?? 0) + (box?.height ?? Number.POSITIVE_INFINITY)).toBeLessThanOrEqual(900);
    await page.context().close();
  });

  it("sorts a table by a column, and back", async () => {
    const { page } = await open("en", { viewport: { width: 1440, height: 900 } });
    const table = page.locator("table.sort").filter({ hasText: "Output throughput" }).first();
    const values = async (): Promise<readonly number[]> =>
      (await table
        .locator("tbody td[id$=output-tps]")
        .evaluateAll((cells) =>
          cells.map((cell) => Number(cell.getAttribute("data-s"))),
        )) satisfies readonly number[];
    const button = table.getByRole("button", { name: "Output throughput" });
    await button.click();
    const rising = await values();
    expect(rising.length).toBe(6);
    expect(rising).toEqual([...rising].sort((a, b) => a - b));
    await button.click();
    expect(await values()).toEqual([...rising].reverse());
    await page.context().close();
  });

  it("switches the theme by hand, and is read without a script", async () => {
    const { page } = await open("en", {
      viewport: { width: 1440, height: 900 },
      colorScheme: "light",
    });
    const paper = "getComputedStyle(document.body).backgroundColor";
    expect(await page.evaluate(paper)).toBe("rgb(255, 255, 255)");
    await page.getByRole("button", { name: "Dark" }).click();
    expect(await page.evaluate(paper)).toBe("rgb(18, 20, 23)");
    await page.context().close();
    const still = await open("en", {
      javaScriptEnabled: false,
      viewport: { width: 1440, height: 900 },
    });
    expect(await still.page.locator("main section").count()).toBe(12);
    expect(await still.page.locator("#theme").isVisible()).toBe(false);
    await still.page.context().close();
  });

  it("prints on A4", async () => {
    const { page, troubles } = await open("zh", { viewport: { width: 1440, height: 900 } });
    const path = join(folder, "record.pdf");
    await page.pdf({ path, preferCSSPageSize: true });
    expect((await stat(path)).size).toBeGreaterThan(50_000);
    await page.emulateMedia({ media: "print" });
    expect(await page.locator(".toc").isVisible()).toBe(false);
    expect(troubles).toEqual([]);
    await page.context().close();
  });
});
