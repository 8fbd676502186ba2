// Shows what /stats, /filters and /clusters say, again and again, and keeps nothing.

import { ask, byId, make } from "/dashboard/page.js";
import { between, count, none, plus, success } from "/dashboard/numbers.js";
import * as draw from "/dashboard/draw.js";
import * as changes from "/dashboard/filters.js";
import * as tap from "/dashboard/tap.js";

const EVERY_MS = 2000;
const NOW_MS = 10000;
const polls = [];
let history = null;

function show(stats, filters, clusters) {
  polls.push(stats);
  while (polls.length > 2 && stats.at - polls[1].at >= NOW_MS) polls.shift();
  const before = polls[0], spent = Math.max(0.001, (stats.at - before.at) / 1000);
  const rates = { listeners: {}, byListener: {}, filters: {} }, perCluster = {};
  let total = none(), exchanges = 0, connections = 0;
  for (const [name, listener] of Object.entries(stats.listeners)) {
    let ofListener = none();
    rates.byListener[name] = {};
    for (const [cluster, totals] of Object.entries(listener.clusters)) {
      const earlier = before.listeners[name]?.clusters[cluster];
      const step = polls.length > 1 ? between(earlier || none(), totals) : none();
      ofListener = plus(ofListener, step);
      rates.byListener[name][cluster] = { rate: count(step) / spent, success: success(step) };
      perCluster[cluster] = perCluster[cluster] || { totals: none(), rate: 0 };
      perCluster[cluster].totals = plus(perCluster[cluster].totals, step);
      perCluster[cluster].rate += count(step) / spent;
    }
    rates.listeners[name] = count(ofListener) / spent;
    total = plus(total, ofListener);
    exchanges += listener.exchanges;
    connections += listener.connections;
  }
  for (const [name, filter] of Object.entries(stats.filters)) {
    const earlier = before.filters[name] || { calls: 0, failed: 0, micros: 0 };
    const calls = Math.max(0, filter.calls - earlier.calls);
    const micros = Math.max(0, filter.micros - earlier.micros);
    rates.filters[name] = { calls: calls / spent, failed: Math.max(0, filter.failed - earlier.failed) / spent, ms: calls ? micros / calls / 1000 : null };
  }
  const scope = byId("scope"), known = [...scope.options].slice(1).map((option) => option.value);
  const names = Object.keys(stats.listeners).sort();
  if (known.join("\n") !== names.join("\n")) {
    const chosen = scope.value;
    scope.replaceChildren(make("option", { text: "all listeners", value: "" }), ...names.map((name) => make("option", { text: name, value: name })));
    scope.value = names.includes(chosen) ? chosen : "";
  }
  draw.tiles(count(total) / spent, total, stats.bounds_us, exchanges, connections);
  draw.map(stats, rates, clusters);
  draw.filters(filters, rates);
  draw.clusters(clusters, perCluster, stats.bounds_us);
}

function say(text, ill) {
  byId("state").textContent = text;
  byId("state").className = ill ? "ill" : "";
}

async function poll() {
  try {
    const [stats, filters, clusters, ready] = await Promise.all([
      ask("/stats"), ask("/filters"), ask("/clusters"), fetch("/ready", { cache: "no-store" }),
    ]);
    show(stats, filters.filters, Object.fromEntries(clusters.clusters.map((cluster) => [cluster.name, cluster])));
    const serving = ready.ok ? "serving" : "draining";
    say(`${serving} · ${new Date(stats.at).toLocaleTimeString("en-GB")}`, !ready.ok);
  } catch (error) {
    say(`the proxy does not answer: ${error.message}`, true);
  }
  setTimeout(poll, EVERY_MS);
}

function past() {
  if (history) draw.charts(history, byId("scope").value);
}

async function look() {
  try {
    history = await ask("/stats/history");
    past();
  } catch {
    // The next poll says what is wrong.
  }
  setTimeout(look, 5 * EVERY_MS);
}

byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
byId("scope").addEventListener("change", past);
changes.begin();
tap.begin();
poll();
look();
