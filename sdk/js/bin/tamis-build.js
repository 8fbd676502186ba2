#!/usr/bin/env node
// Makes a module of a filter: bundles it with the SDK, and puts both into a JavaScript engine that is a component.

import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { componentize } from "@bytecodealliance/componentize-js";
import { build } from "esbuild";

const USAGE = `usage: tamis-build FILE [--out FILE.wasm] [--schema SCHEMA.json]
       tamis-build FILE --bundle FILE.js

  FILE       the filter: a module in JavaScript or TypeScript whose default export is filter({ … })
  --out      where the module goes; without it, dist/ and the name of FILE
  --schema   a JSON Schema of the configuration, which becomes part of the module
  --bundle   only the filter in JavaScript, for tests in node`;

/** The section in which the proxy looks for a schema. */
const SECTION = "tamis:config-schema";

const root = fileURLToPath(new URL("..", import.meta.url));

function fail(message) {
  console.error(message);
  process.exit(1);
}

function read() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { out: { type: "string", short: "o" }, schema: { type: "string" }, bundle: { type: "string" }, help: { type: "boolean", short: "h" } },
    });
    if (values.help || positionals.length !== 1) fail(USAGE);
    const [file] = positionals;
    const name = file.replace(/^.*\//, "").replace(/\.[cm]?[jt]s$/, "");
    return { file: resolve(file), out: resolve(values.out ?? `dist/${name}.wasm`), schema: values.schema, bundle: values.bundle };
  } catch (error) {
    fail(`${error.message}\n\n${USAGE}`);
  }
}

/** The interface: beside a package that was installed, two folders up in the repository. */
async function interfaces() {
  const [packed, repository] = [join(root, "wit"), join(root, "../../wit")];
  return (await stat(packed).catch(() => undefined)) ? packed : repository;
}

async function bundled(file, into) {
  const names = ["configure", "requestHook", "requestChunkHook", "responseHook", "responseChunkHook", "trailersHook", "completeHook", "tickHook"];
  const contents = `
    import { world } from ${JSON.stringify(join(root, "src/exports.js"))};
    import filter from ${JSON.stringify(file)};
    if (typeof filter !== "object") throw new TypeError("the module has no default export that is a filter");
    export const { ${names.join(", ")} } = world(filter);`;
  await build({
    stdin: { contents, resolveDir: dirname(file), sourcefile: "tamis-entry.js" },
    outfile: into,
    bundle: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    mainFields: ["module", "main"],
    conditions: ["import"],
    external: ["tamis:*"],
    alias: { "tamis-sdk": join(root, "src/index.js") },
    keepNames: true,
    logLevel: "error",
  });
}

function leb(number) {
  const bytes = [];
  do {
    bytes.push((number & 0x7f) | (number > 0x7f ? 0x80 : 0));
    number >>>= 7;
  } while (number > 0);
  return Uint8Array.from(bytes);
}

/** A custom section at the end: components take them there as core modules do. */
function withSection(component, name, content) {
  const title = Buffer.from(name);
  const payload = Buffer.concat([leb(title.length), title, content]);
  return Buffer.concat([component, Uint8Array.of(0), leb(payload.length), payload]);
}

const { file, out, schema, bundle } = read();
if (!(await stat(file).catch(() => undefined))) fail(`there is no ${file}`);
if (bundle !== undefined) {
  // With the SDK beside it: a test gives that another host.
  const options = { entryPoints: [file], outfile: bundle, bundle: true, format: "esm", platform: "node", external: ["tamis-sdk"] };
  await build({ ...options, logLevel: "error" }).catch(() => process.exit(1));
  process.exit(0);
}
const folder = await mkdtemp(join(tmpdir(), "tamis-build-"));
try {
  const sourcePath = join(folder, "filter.js");
  await bundled(file, sourcePath).catch(() => process.exit(1));
  // Without WASI: what the language brings of it goes over the proxy's own interfaces (src/globals.js).
  const disableFeatures = ["random", "stdio", "clocks", "http", "fetch-event"];
  const witPath = await interfaces();
  const made = await componentize({ sourcePath, witPath, worldName: "http-filter", disableFeatures });
  const component = schema === undefined ? made.component : withSection(made.component, SECTION, await readFile(schema));
  await mkdir(dirname(out), { recursive: true });
  await writeFile(`${out}.next`, component);
  await rename(`${out}.next`, out);
  console.log(`built ${out} (${(component.length / 1e6).toFixed(1)} MB)`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
