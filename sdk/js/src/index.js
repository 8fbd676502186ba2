// What a filter is written with. Only the names that are exported here are the SDK's; the rest is how it works.

export { filter, reset } from "./filter.js";
export { Reply } from "./reply.js";
export { ConfigError, Refused, BodyError, HttpError, StoreError } from "./errors.js";
export { http } from "./http.js";
export { Store, quota } from "./store.js";
export { clock, entropy, log } from "./system.js";
