// Drives the dashboard as an operator would, in Debian's Chromium: loads a broken module, then a good one, watches traffic, goes
// back, and taps. Prints what it has seen; ends with 1 at the first thing that is not as it should be.
//
// node dashboard.mjs ADMIN EDGE BROKEN GOOD [FOLDER FOR SCREENSHOTS]

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [admin, edge, broken, good, screenshots] = process.argv.slice(2);
const WITHIN = 20_000;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.setDefaultTimeout(WITHIN);
const errors = [];
page.on("pageerror", (error) => errors.push(`${error}`));
page.on("console", (message) => {
  // A refused change is told by the browser as well.
  if (message.type() === "error" && !message.text().includes("422")) errors.push(message.text());
});

async function step(what, act) {
  await act();
  console.log(`seen: ${what}`);
}

/** Waits until a part of the page says this. */
const says = (part, text) => page.locator(part, { hasText: text }).first().waitFor();
const traffic = async (count, path) => {
  for (let at = 0; at < count; at += 1) {
    const answer = await fetch(`${edge}${path}`);
    await answer.text();
    stamp = answer.headers.get("x-stamp");
  }
};
let stamp;

async function shoot(name) {
  if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage: true });
}

try {
  await step("the page says that the proxy serves", async () => {
    await page.goto(`${admin}/dashboard`);
    await says("#state", "serving");
  });

  await step("a broken module is refused, and the page says why", async () => {
    await page.getByRole("button", { name: "change stamp" }).click();
    await says("#filter-name", "stamp");
    await page.getByLabel("the module").setInputFiles(broken);
    await page.getByRole("button", { name: "load", exact: true }).click();
    await says("#filter-said.ill", "expected a number, found");
    await traffic(1, "/users/before");
    assert.equal(stamp, "a", "what was live goes on");
  });

  await step("a good module is live", async () => {
    await page.getByLabel("the module").setInputFiles(good);
    await page.getByRole("button", { name: "load", exact: true }).click();
    await says("#filter-said.well", "version 2 is live");
    await traffic(1, "/users/after");
    assert.equal(stamp, "b");
    await shoot("filter");
    await page.getByRole("button", { name: "close" }).click();
  });

  await step("traffic is in the tiles, the map and the tables", async () => {
    await traffic(20, "/users/more");
    await page.waitForFunction(() => {
      const rate = document.querySelector("#tiles dd")?.textContent;
      return rate && rate !== "0" && rate !== "–";
    });
    await says("#map", "origin");
    await page.locator("#map summary").first().click();
    await says("#map .endpoints", "127.0.0.1:");
  });

  await step("the tap shows exchanges, chosen by the proxy and searched in the page", async () => {
    await page.locator("#tap-match").fill("path=/users*");
    await page.locator("#tap-match").press("Enter");
    await says("#tap-state", "listening");
    await traffic(2, "/users/tapped-one");
    await traffic(3, "/users/tapped-two");
    await traffic(1, "/orders/elsewhere");
    await says("#tap-count", "5 of 5");
    await page.locator("#tap-search").fill("tapped-ONE");
    await says("#tap-count", "2 of 5");
    assert.equal(await page.locator("#tap-list > li").count(), 2);
    await page.locator("#tap-list summary").first().click();
    await says("#tap-list pre", "x-stamp: b");
    await says("#tap-list pre", "stamp response");
    await shoot("tap");
    await page.locator("#tap-toggle").click();
    await says("#tap-state", "stopped");
  });

  await step("the keyboard alone goes back to the version before", async () => {
    await page.locator('[data-key="stamp"]').focus();
    await page.keyboard.press("Enter");
    await says("#filter-name", "stamp");
    await page.getByRole("button", { name: "roll back" }).focus();
    await page.keyboard.press("Enter");
    await says("#filter-said.well", "version 1 is live");
    await traffic(1, "/users/back");
    assert.equal(stamp, "a");
    await page.keyboard.press("Escape");
    await page.locator("#filter").waitFor({ state: "hidden" });
  });

  await step("a canary is taken back, then promoted", async () => {
    const beside = async () => {
      await page.getByLabel("the module").setInputFiles(good);
      await page.locator("#filter-percent").fill("100");
      await page.getByRole("button", { name: "load as a canary" }).click();
      await says("#filter-second", "canary of 100 %");
      await traffic(1, "/users/canary");
      assert.equal(stamp, "b", "the canary has all of them");
    };
    await page.getByRole("button", { name: "change stamp" }).click();
    await beside();
    await page.getByRole("button", { name: "take it back" }).click();
    await page.locator("#filter-second", { hasNotText: "canary" }).waitFor({ state: "attached" });
    await traffic(1, "/users/taken-back");
    assert.equal(stamp, "a");
    await beside();
    await page.getByRole("button", { name: "promote it" }).click();
    await says("#filter-said.well", "version 3 is live");
    await traffic(1, "/users/promoted");
    assert.equal(stamp, "b");
    await page.getByRole("button", { name: "close" }).click();
  });

  await step("it is dark and light, and fits a phone", async () => {
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const before = await ground();
    await shoot("light");
    await page.locator("#theme").click();
    assert.notEqual(await ground(), before);
    await shoot("dark");
    await page.setViewportSize({ width: 390, height: 800 });
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wider <= 0, `the page is ${wider} pixels wider than a phone`);
    await shoot("phone");
  });

  assert.deepEqual(errors, [], "the browser has complained");
  console.log("all seen");
} catch (error) {
  console.error(error, errors);
  console.error(await page.locator("body").innerText().catch(() => "the page is gone"));
  process.exitCode = 1;
} finally {
  await browser.close();
}
