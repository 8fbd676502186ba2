// Takes the pictures of the docs from a proxy that runs, such as `tamis demo` under some load.
//
// node screenshots.mjs ADMIN FOLDER FILTER

import { chromium } from "playwright-core";

const [admin, folder, filter] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
await page.goto(`${admin}/dashboard`);
await page.waitForFunction(() => !["", "0", "–"].includes(document.querySelector("#tiles dd")?.textContent ?? ""));
await page.locator("#map summary").first().click();
await page.locator("#tap-match").fill("status=5xx");
await page.locator("#tap-match").press("Enter");
await page.locator("#tap-list > li").nth(2).waitFor();
await page.locator("#tap-toggle").click();
await page.locator("#tap-list summary").first().click();
await page.screenshot({ path: `${folder}/dashboard.png`, fullPage: true });
await page.locator("#theme").click();
await page.screenshot({ path: `${folder}/dashboard-dark.png`, fullPage: true });
await page.locator("#theme").click();
await page.locator(`[data-key="${filter}"]`).click();
await page.locator("#filter-facts dd").first().waitFor();
await page.screenshot({ path: `${folder}/dashboard-filter.png` });
await browser.close();
