// Exchanges as they end, from /tap. What is shown can be searched; what is asked for is chosen by the proxy.

import { asked, byId, make, why } from "/dashboard/page.js";
import { time } from "/dashboard/numbers.js";

const SHOWN_MAX = 200;
let running = null;
const seen = [];

/** The events of a stream of server-sent events, one after the other. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = { kind: "message", data: "" };
      for (const line of text.slice(0, end).split("\n")) {
        if (line.startsWith("event:")) event.kind = line.slice(6).trim();
        if (line.startsWith("data:")) event.data += line.slice(5).trim();
      }
      text = text.slice(end + 2);
      if (event.data) yield event;
    }
  }
}

function say(text, ill = false) {
  byId("tap-state").textContent = text;
  byId("tap-state").className = ill ? "ill" : "faint";
}

async function start() {
  const stop = new AbortController();
  running = stop;
  byId("tap-toggle").textContent = "stop";
  say("asking …");
  try {
    const match = byId("tap-match").value.trim();
    const answer = await asked(`/tap${match ? `?match=${encodeURIComponent(match)}` : ""}`, { signal: stop.signal });
    if (!answer.ok) throw new Error(await why(answer));
    say("listening");
    let lost = 0;
    for await (const event of events(answer.body)) {
      const data = JSON.parse(event.data);
      if (event.kind === "exchange") add(data);
      if (event.kind === "lost") {
        lost += data.count ?? 1;
        say(`listening · ${lost} not shown, for they came too fast`);
      }
    }
    say("the proxy has ended it", true);
  } catch (error) {
    if (!stop.signal.aborted) say(error.message, true);
  }
  if (running === stop) ended();
}

function ended() {
  running = null;
  byId("tap-toggle").textContent = "start";
}

function toggle() {
  if (!running) return start();
  running.abort();
  ended();
  say("stopped");
}

function add(exchange) {
  seen.unshift({ exchange, text: JSON.stringify(exchange).toLowerCase(), element: shown(exchange) });
  seen.length = Math.min(seen.length, SHOWN_MAX);
  search();
}

/** Shows those in which the words of the search are found, anywhere. */
function search() {
  const words = byId("tap-search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = seen.filter(({ text }) => words.every((word) => text.includes(word)));
  byId("tap-count").textContent = `${found.length} of ${seen.length}`;
  byId("tap-list").replaceChildren(...found.map(({ element }) => element));
}

function shown(exchange) {
  const ill = exchange.status >= 500 || exchange.status === 0;
  const head = make("summary", {},
    make("span", { text: exchange.status || "none", name: ill ? "ill" : "well" }),
    make("span", { text: `${exchange.method ?? ""} ${exchange.host ?? ""}${exchange.path ?? ""}`, name: "words" }),
    make("span", { text: [exchange.cluster, exchange.reason === "upstream" ? "" : exchange.reason, time(exchange.duration_us / 1000)].filter(Boolean).join(" · "), name: "faint" }));
  const element = make("details", {}, head);
  // Most are never opened.
  element.addEventListener("toggle", () => element.append(...parts(exchange)), { once: true });
  return make("li", {}, element);
}

function parts(exchange) {
  const list = (title, lines) => (lines.length ? [make("h4", { text: title }), make("pre", { text: lines.join("\n") })] : []);
  const message = (part) => [...(part?.headers ?? []).map(([name, value]) => `${name}: ${value}`), ...(part?.body ? ["", part.body] : [])];
  const micros = (us) => time(us / 1000);
  const facts = ["time", "listener", "route", "endpoint", "attempts", "source", "request_id", "trace_id", "error"];
  return [
    ...list("exchange", facts.filter((key) => exchange[key] !== undefined && exchange[key] !== null).map((key) => `${key}: ${exchange[key]}`)),
    ...list("notes", Object.entries(exchange.notes ?? {}).map(([key, value]) => `${key}: ${value}`)),
    ...list("filters", (exchange.filters ?? []).map((call) => `${call.name} ${call.hook} · ${call.verdict} · ${micros(call.us)}`)),
    ...list("attempts", (exchange.tries ?? []).map((attempt) => `${attempt.endpoint} · ${attempt.status ?? attempt.failure} · ${micros(attempt.us)}`)),
    ...list("request", message(exchange.request)),
    ...list("response", message(exchange.response)),
  ];
}

export function begin() {
  byId("tap-toggle").addEventListener("click", toggle);
  byId("tap-search").addEventListener("input", search);
  byId("tap-clear").addEventListener("click", () => {
    seen.length = 0;
    search();
  });
  byId("tap-match").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    if (running) toggle();
    start();
  });
}
