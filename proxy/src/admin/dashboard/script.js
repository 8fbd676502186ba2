"use strict";
// Shows what /stats, /filters and /clusters say, and keeps nothing. Totals become rates here: the proxy only counts.

const EVERY_MS = 2000;
const NOW_MS = 10000;
const polls = [];
let history = null;

const byId = (id) => document.getElementById(id);

/** An element with its text and children; nothing that is told is ever read as markup. */
function make(tag, { text, name, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Arithmetic of totals.

function none() {
  return { classes: [0, 0, 0, 0, 0, 0], durations: [], duration_us: 0, request_bytes: 0, response_bytes: 0 };
}

function plus(one, other) {
  const longer = one.durations.length > other.durations.length ? one.durations : other.durations;
  return {
    classes: one.classes.map((count, at) => count + other.classes[at]),
    durations: longer.map((_, at) => (one.durations[at] || 0) + (other.durations[at] || 0)),
    duration_us: one.duration_us + other.duration_us,
    request_bytes: one.request_bytes + other.request_bytes,
    response_bytes: one.response_bytes + other.response_bytes,
  };
}

/** What was counted between two looks. A proxy that was started again counts from nothing. */
function between(before, after) {
  const fallen = after.classes.some((count, at) => count < before.classes[at]);
  if (fallen) return after;
  return {
    classes: after.classes.map((count, at) => count - before.classes[at]),
    durations: after.durations.map((count, at) => count - (before.durations[at] || 0)),
    duration_us: after.duration_us - before.duration_us,
    request_bytes: after.request_bytes - before.request_bytes,
    response_bytes: after.response_bytes - before.response_bytes,
  };
}

const count = (totals) => totals.classes.reduce((sum, more) => sum + more, 0);

/** The share that is neither 5xx nor without an answer; null where nothing was asked. */
function success(totals) {
  const all = count(totals);
  return all === 0 ? null : 1 - (totals.classes[4] + totals.classes[5]) / all;
}

/** A percentile in milliseconds, in the middle of its bucket as far as is known. */
function percentile(totals, bounds, share) {
  const all = totals.durations.reduce((sum, more) => sum + more, 0);
  if (all === 0) return null;
  let left = all * share;
  for (let at = 0; at < totals.durations.length; at += 1) {
    const here = totals.durations[at];
    if (left <= here && here > 0) {
      const from = at === 0 ? 0 : bounds[at - 1];
      const to = at < bounds.length ? bounds[at] : from;
      return (from + (to - from) * (left / here)) / 1000;
    }
    left -= here;
  }
  return bounds[bounds.length - 1] / 1000;
}

// Words for numbers.

function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value === 0 ? "0" : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
const percent = (share) => (share === null ? "–" : share === 1 ? "100 %" : `${(share * 100).toFixed(share > 0.999 ? 3 : 2)} %`);
const time = (ms) => (ms === null ? "–" : ms >= 1000 ? `${number(ms / 1000)} s` : `${number(ms)} ms`);
const grade = (share) => (share === null || share >= 0.999 ? "" : "ill");

// The page.

function tiles(rate, totals, bounds, exchanges, connections) {
  const ok = success(totals);
  const tile = (term, value, name = "") => make("div", {}, make("dt", { text: term }), make("dd", { text: value, name }));
  byId("tiles").replaceChildren(
    tile("requests/s", number(rate)),
    tile("success", percent(ok), grade(ok)),
    tile("p50", time(percentile(totals, bounds, 0.5))),
    tile("p95", time(percentile(totals, bounds, 0.95))),
    tile("p99", time(percentile(totals, bounds, 0.99))),
    tile("under way", number(exchanges)),
    tile("connections", number(connections)),
  );
}

function chart(title, now, lines, highest) {
  const width = 600, height = 100;
  const top = highest || Math.max(1e-9, ...lines.flatMap((line) => line.filter((value) => value !== null)));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${title}: ${now}`);
  for (const y of [0, height]) {
    const line = document.createElementNS(svg.namespaceURI, "line");
    for (const [key, value] of Object.entries({ x1: 0, x2: width, y1: y, y2: y })) line.setAttribute(key, value);
    svg.append(line);
  }
  lines.forEach((values, place) => {
    let path = "", pen = "M";
    values.forEach((value, at) => {
      if (value === null) { pen = "M"; return; }
      const x = (width * (at + 181 - values.length)) / 180;
      path += `${pen}${x.toFixed(1)} ${(height - (height * value) / top).toFixed(1)}`;
      pen = "L";
    });
    const drawn = document.createElementNS(svg.namespaceURI, "path");
    drawn.setAttribute("d", path);
    drawn.setAttribute("class", ["first", "second", "third"][place]);
    svg.append(drawn);
  });
  return make("figure", {}, make("figcaption", {}, make("span", { text: title }), make("span", { text: now })), svg);
}

function charts() {
  if (!history) return;
  const scope = byId("scope").value;
  const of = (sample) => (scope ? sample.listeners[scope] : sample.total) || null;
  const steps = history.samples.slice(1).map((sample, at) => {
    const before = of(history.samples[at]), after = of(sample);
    return before && after ? { spent: (sample.at - history.samples[at].at) / 1000, totals: between(before, after) } : null;
  });
  const each = (value) => steps.map((step) => (step ? value(step) : null));
  const rates = each((step) => count(step.totals) / step.spent);
  const good = each((step) => success(step.totals));
  const times = [0.5, 0.95, 0.99].map((share) => each((step) => percentile(step.totals, history.bounds_us, share)));
  const last = (values) => (values.length ? values[values.length - 1] : null);
  byId("charts").replaceChildren(
    chart("requests/s", number(last(rates)), [rates]),
    chart("success", percent(last(good)), [good], 1),
    chart("p50, p95, p99", times.map((line) => time(last(line))).join(" · "), times),
  );
}

function flow(stats, rates, clusters) {
  const node = (title, below, name = "") => make("div", { name: `node ${name}` }, make("b", { text: title }), make("span", { text: below }));
  const arrow = () => make("span", { text: "→", "aria-hidden": "true", name: "faint" });
  const rows = Object.entries(stats.listeners).map(([name, listener]) => {
    const row = make("div", { name: "flow" });
    row.append(node(name, `${listener.address}${listener.tls ? " · TLS" : ""} · ${number(rates.listeners[name])}/s`));
    for (const filter of listener.filters) {
      const rate = rates.filters[filter] || {};
      row.append(arrow(), node(filter, `${time(rate.ms ?? null)} a call`, rate.failed > 0 ? "ill" : ""));
    }
    const targets = make("div", { name: "targets" });
    for (const [cluster, rate] of Object.entries(rates.byListener[name] || {})) {
      const known = clusters[cluster];
      const there = known ? ` · ${known.in} of ${known.count} in` : "";
      targets.append(node(cluster || "(none)", `${number(rate.rate)}/s · ${percent(rate.success)}${there}`, grade(rate.success)));
    }
    if (targets.childElementCount) row.append(arrow(), targets);
    return row;
  });
  byId("map").replaceChildren(...rows);
}

function row(...cells) {
  return make("tr", {}, ...cells.map(([text, name = ""], at) => (at === 0 ? make("th", { text, scope: "row" }) : make("td", { text, name }))));
}

function tables(filters, rates, clusters, perCluster, bounds) {
  byId("filters").replaceChildren(...filters.map((filter) => {
    const rate = rates.filters[filter.name] || {};
    const failed = filter.failed ? filter.failed.error : "";
    return row([filter.name], [number(rate.calls)], [number(rate.failed), rate.failed > 0 ? "ill" : ""], [time(rate.ms ?? null)],
      [filter.module], [filter.left_alone ? "left alone" : filter.mode, filter.left_alone ? "ill" : ""], [number(filter.swaps)],
      [failed, failed ? "words ill" : "words"]);
  }));
  const names = new Set([...Object.keys(clusters), ...Object.keys(perCluster).filter((name) => name)]);
  byId("clusters").replaceChildren(...[...names].sort().map((name) => {
    const step = perCluster[name] || { totals: none(), rate: 0 };
    const ok = success(step.totals), known = clusters[name];
    return row([name], [number(step.rate)], [percent(ok), grade(ok)], ...[0.5, 0.95, 0.99].map((share) => [time(percentile(step.totals, bounds, share))]),
      [known ? `${known.in} of ${known.count}` : "–", known && known.in < known.count ? "ill" : ""]);
  }));
}

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
  tiles(count(total) / spent, total, stats.bounds_us, exchanges, connections);
  flow(stats, rates, clusters);
  tables(filters, rates, clusters, perCluster, stats.bounds_us);
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
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

async function look() {
  try {
    history = await ask("/stats/history");
    charts();
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
byId("scope").addEventListener("change", charts);
poll();
look();
