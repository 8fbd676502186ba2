// Closes parts of a site: whoever asks for them is told to come back later. Every answer says that the filter was there.

import { ConfigError, Reply, filter, log } from "tamis-sdk";

export default filter({
  // Called before anything is served, with `config` of the proxy's configuration. What it throws never goes live; the path tells
  // the operator where to look. What it returns is the state that the hooks are given.
  configure(config) {
    const { closed = [], "retry-after": retryAfter = 60, ...unknown } = config;
    for (const key of Object.keys(unknown)) throw ConfigError.at(key, `unknown key \`${key}\``);
    closed.forEach((path, at) => {
      if (typeof path !== "string" || !path.startsWith("/")) {
        throw ConfigError.at(`closed[${at}]`, `expected a path that begins with "/", found ${JSON.stringify(path)}`);
      }
    });
    return { closed, retryAfter };
  },

  // The head of a request is there: let it pass, change it, or answer it.
  onRequest(request, { closed, retryAfter }) {
    const { path } = request;
    const found = closed.find((one) => path === one || path.startsWith(one.endsWith("/") ? one : `${one}/`));
    if (found === undefined) return;
    log.info(`${request.connection.source} asked for ${path}, which is closed`);
    // Notes travel with the exchange: to later hooks, and into the access log.
    request.notes.set("closed", found);
    return Reply.text(503, "closed for now\n", { "retry-after": retryAfter });
  },

  // The head of the answer is there.
  onResponse(response) {
    response.headers.set("x-filter", "{name}");
  },
});
