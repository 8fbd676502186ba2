// The world `http-filter`, made of a filter: what the module exports, and the interfaces that it imports.

import * as chunk from "tamis:filter/chunk@0.1.0";
import * as clock from "tamis:filter/clock@0.1.0";
import * as connection from "tamis:filter/connection@0.1.0";
import * as destination from "tamis:filter/destination@0.1.0";
import * as entropy from "tamis:filter/entropy@0.1.0";
import * as httpClient from "tamis:filter/http-client@0.1.0";
import * as log from "tamis:filter/log@0.1.0";
import * as metrics from "tamis:filter/metrics@0.1.0";
import * as notes from "tamis:filter/notes@0.1.0";
import * as outcome from "tamis:filter/outcome@0.1.0";
import * as quota from "tamis:filter/quota@0.1.0";
import * as reply from "tamis:filter/reply@0.1.0";
import * as request from "tamis:filter/request@0.1.0";
import * as response from "tamis:filter/response@0.1.0";
import * as setup from "tamis:filter/setup@0.1.0";
import * as store from "tamis:filter/store@0.1.0";

import { exported } from "./filter.js";
import { takeOver } from "./globals.js";
import { bind } from "./host.js";

bind({
  chunk, clock, connection, destination, entropy, httpClient, log, metrics, notes, outcome, quota, reply, request, response,
  setup, store,
});

export function world(filter) {
  const hooks = exported(filter);
  return {
    configure: {
      configure(config, inputs) {
        takeOver();
        return hooks.configure(config, inputs);
      },
    },
    requestHook: { onRequest: hooks.onRequest },
    requestChunkHook: { onRequestChunk: hooks.onRequestChunk },
    responseHook: { onResponse: hooks.onResponse },
    responseChunkHook: { onResponseChunk: hooks.onResponseChunk },
    trailersHook: { onRequestTrailers: hooks.onRequestTrailers, onResponseTrailers: hooks.onResponseTrailers },
    completeHook: { onComplete: hooks.onComplete },
    tickHook: { onTick: hooks.onTick },
  };
}
