// What can be done with a filter: another module or configuration, for everybody or as a canary, and the way back.

import { asked, ask, button, byId, make, why } from "/dashboard/page.js";

let current = null;

/** Opens the dialog of one filter. */
export async function open(name) {
  current = name;
  byId("filter-name").textContent = name;
  byId("filter-module").value = "";
  byId("filter-config").value = "";
  tell("");
  await refresh();
  byId("filter").showModal();
}

async function refresh() {
  const filter = await ask(`/filters/${encodeURIComponent(current)}`);
  const facts = [
    ["module", `${filter.module} · ${short(filter.hash)}`],
    ["config", short(filter.config_hash)],
    ["from", `module: ${filter.from?.module}, config: ${filter.from?.config}`],
    ["last failure", filter.failed ? `${filter.failed.at} · ${filter.failed.error}` : "none"],
  ];
  byId("filter-facts").replaceChildren(...facts.flatMap(([term, value]) => [make("dt", { text: term }), make("dd", { text: value })]));
  const second = filter.second;
  byId("filter-second").replaceChildren(...(second ? secondVersion(second) : []));
  byId("filter-history").replaceChildren(...(filter.history ?? []).map(version));
  byId("filter-back").disabled = !(filter.history ?? []).some((entry) => entry.live && entry.before !== null);
}

function secondVersion(second) {
  const share = second.percent === null ? "" : ` of ${second.percent} %`;
  const state = second.given_up ? " · given up, for it failed" : "";
  const told = make("p", { text: `beside it: ${second.role}${share} · ${short(second.hash)} · ${second.failures} failures${state}` });
  const decide = second.role === "canary" ? [
    button("promote it", () => change("POST", "promote")),
    button("take it back", () => change("DELETE", "canary")),
  ] : [];
  return [told, make("div", { name: "row" }, ...decide)];
}

function version(entry) {
  const cells = [entry.version, entry.at, short(entry.module), short(entry.config)].map((text) => make("td", { text }));
  const back = entry.live
    ? make("span", { text: "live", name: "well" })
    : button("go to it", () => change("POST", "rollback", JSON.stringify({ to: entry.version })), { "aria-label": `go to version ${entry.version}` });
  return make("tr", {}, ...cells, make("td", {}, back));
}

const short = (hash) => (hash ?? "").replace(/^(sha256:[0-9a-f]{8})[0-9a-f]+$/, "$1…");

function tell(text, name = "") {
  const said = byId("filter-said");
  said.textContent = text;
  said.className = name;
}

/** Asks for a change, and tells what became of it. */
async function change(method, step, body) {
  tell("under way …");
  try {
    const path = `/filters/${encodeURIComponent(current)}${step ? `/${step}` : ""}`;
    const answer = await asked(path, { method, body });
    if (answer.ok) {
      const done = await answer.json();
      tell(`done in ${done.took_ms} ms${done.version === null ? "" : `: version ${done.version} is live`}`, "well");
    } else {
      tell(await why(answer), "ill");
    }
    await refresh();
  } catch (error) {
    tell(error.message, "ill");
  }
}

async function load() {
  const file = byId("filter-module").files[0];
  if (!file) return tell("choose a module first", "ill");
  return change("PUT", "module", file);
}

async function canary() {
  const file = byId("filter-module").files[0], percent = byId("filter-percent").valueAsNumber;
  if (!file) return tell("choose a module first", "ill");
  if (!(percent >= 1 && percent <= 100)) return tell("expected a share of 1 to 100 %", "ill");
  return change("PUT", `module?canary=${percent}`, file);
}

async function configure() {
  const text = byId("filter-config").value;
  try {
    JSON.parse(text);
  } catch (error) {
    return tell(`expected JSON: ${error.message}`, "ill");
  }
  return change("PUT", "config", text);
}

export function begin() {
  const press = (id, act) => byId(id).addEventListener("click", act);
  press("filter-load", load);
  press("filter-canary", canary);
  press("filter-configure", configure);
  press("filter-back", () => change("POST", "rollback"));
  press("filter-reset", () => change("DELETE", ""));
  press("filter-close", () => byId("filter").close());
}
