// What is drawn: tiles, charts, the map and the tables.

import { button, byId, make, redraw } from "/dashboard/page.js";
import { between, count, grade, none, number, percent, percentile, success, time } from "/dashboard/numbers.js";
import { endpoints, whenOpened } from "/dashboard/endpoints.js";
import { open } from "/dashboard/filters.js";

export function tiles(rate, totals, bounds, exchanges, connections) {
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

export function charts(history, scope) {
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

export function map(stats, rates, clusters) {
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
      const target = node(cluster || "(none)", `${number(rate.rate)}/s · ${percent(rate.success)}${there}`, grade(rate.success));
      if (known) target.append(whenOpened(`${name} ${cluster}`, "endpoints", () => endpoints(cluster)));
      targets.append(target);
    }
    if (targets.childElementCount) row.append(arrow(), targets);
    return row;
  });
  redraw(byId("map"), ...rows);
}

function row(...cells) {
  return make("tr", {}, ...cells.map(([content, name = ""], at) => {
    const cell = at === 0 ? make("th", { scope: "row" }) : make("td", { name });
    cell.append(content);
    return cell;
  }));
}

/** Those of filters: their cost, their failures, and what can be done. */
export function filters(all, rates) {
  redraw(byId("filters"), ...all.map((filter) => {
    const rate = rates.filters[filter.name] || {};
    const failed = filter.failed ? filter.failed.error : "";
    const change = button("change …", () => open(filter.name), { "data-key": filter.name, "aria-label": `change ${filter.name}` });
    const version = filter.version ? `version ${filter.version}` : "";
    return row([filter.name], [change], [number(rate.calls)], [number(rate.failed), rate.failed > 0 ? "ill" : ""], [time(rate.ms ?? null)],
      [filter.module], [version], [filter.left_alone ? "left alone" : filter.mode, filter.left_alone ? "ill" : ""], [number(filter.swaps)],
      [failed, failed ? "words ill" : "words"]);
  }));
}

export function clusters(known, perCluster, bounds) {
  const names = new Set([...Object.keys(known), ...Object.keys(perCluster).filter((name) => name)]);
  byId("clusters").replaceChildren(...[...names].sort().map((name) => {
    const step = perCluster[name] || { totals: none(), rate: 0 };
    const ok = success(step.totals), cluster = known[name];
    return row([name], [number(step.rate)], [percent(ok), grade(ok)], ...[0.5, 0.95, 0.99].map((share) => [time(percentile(step.totals, bounds, share))]),
      [cluster ? `${cluster.in} of ${cluster.count}` : "–", cluster && cluster.in < cluster.count ? "ill" : ""]);
  }));
}
