// Elements of the page, and asking the proxy. Nothing that is told is ever read as markup.

export const byId = (id) => document.getElementById(id);

/** An element with its text and children. */
export function make(tag, { text, name, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Draws a part anew under whoever walks through it by keyboard: what had the focus has it again. */
export function redraw(part, ...children) {
  const key = part.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  part.replaceChildren(...children);
  if (key) part.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** A button that does one thing, and cannot be pressed again until that is done. */
export function button(text, act, attributes = {}) {
  const element = make("button", { text, type: "button", ...attributes });
  element.addEventListener("click", async () => {
    element.disabled = true;
    try {
      await act();
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

/** What a path says, as JSON. */
export async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

const TOKEN = "tamis-token";

/**
 * What only some may ask: the proxy knows this page by the field, and where it has a token, that is asked for and kept until the
 * tab is closed.
 */
export async function asked(path, options = {}) {
  for (;;) {
    const headers = { "x-tamis-dashboard": "1", ...options.headers };
    const token = sessionStorage.getItem(TOKEN);
    if (token) headers.authorization = `Bearer ${token}`;
    const answer = await fetch(path, { cache: "no-store", ...options, headers });
    if (answer.status !== 401) return answer;
    sessionStorage.removeItem(TOKEN);
    if (!(await askForToken(await why(answer)))) return answer;
  }
}

/** In words, why something was refused. */
export async function why(answer) {
  const text = await answer.clone().text();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text || `the proxy answered ${answer.status}`;
  }
}

function askForToken(reason) {
  const dialog = byId("token");
  byId("token-why").textContent = reason;
  byId("token-value").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const token = byId("token-value").value.trim();
      const given = dialog.returnValue === "use" && token !== "";
      if (given) sessionStorage.setItem(TOKEN, token);
      resolve(given);
    }, { once: true });
  });
}
