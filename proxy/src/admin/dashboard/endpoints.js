// The endpoints of a cluster, for whoever opens them on the map.

import { ask, make } from "/dashboard/page.js";
import { number } from "/dashboard/numbers.js";

const SHOWN_MAX = 50;
const opened = new Map();

/** A part that can be opened, and stays open while the map is drawn anew. */
export function whenOpened(key, title, fill) {
  const summary = make("summary", { text: title, "data-key": key });
  const content = opened.get(key) ?? make("div", { name: "faint", text: "asking …" });
  const details = make("details", {}, summary, content);
  details.open = opened.has(key);
  const refresh = async () => {
    try {
      const filled = await fill();
      opened.set(key, filled);
      content.replaceWith(filled);
    } catch (error) {
      content.textContent = error.message;
    }
  };
  if (details.open) refresh();
  details.addEventListener("toggle", () => {
    if (!details.open) opened.delete(key);
    else if (!opened.has(key)) {
      opened.set(key, content);
      refresh();
    }
  });
  return details;
}

export async function endpoints(cluster) {
  const { endpoints } = await ask(`/clusters/${encodeURIComponent(cluster)}`);
  const rows = endpoints.slice(0, SHOWN_MAX).map((endpoint) => {
    const state = endpoint.state === "in" ? "in" : endpoint.why.join(", ") || "out";
    return make("li", { name: endpoint.state === "in" ? "" : "ill", text: `${endpoint.address} · ${number(endpoint.active)} active · ${state}` });
  });
  const more = endpoints.length - rows.length;
  if (more > 0) rows.push(make("li", { name: "faint", text: `and ${number(more)} more` }));
  return make("ul", { name: "endpoints" }, ...rows);
}
