// Text and bytes. Values of fields are strings in which a character is a byte, as `fetch` has it; bodies are UTF-8.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A body: text becomes UTF-8. */
export function body(value) {
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`expected a string or bytes, found ${typeof value}`);
}

/** The value of a field: a character is a byte. */
export function value(text) {
  if (typeof text !== "string" && typeof text !== "number") return body(text);
  const string = String(text);
  const bytes = new Uint8Array(string.length);
  for (let at = 0; at < string.length; at++) {
    const code = string.charCodeAt(at);
    if (code > 255) throw new TypeError(`the value of a field has a character that is no byte: ${JSON.stringify(string[at])}`);
    bytes[at] = code;
  }
  return bytes;
}

/** The value of a field as a string; undefined stays what it is. */
export function text(bytes) {
  if (bytes === undefined) return undefined;
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

export function utf8(bytes) {
  return decoder.decode(bytes);
}

/** The packed form of all fields: pairs of name and value. */
export function* unpacked(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 4;
  const piece = () => {
    const length = view.getUint32(at, true);
    at += 4 + length;
    return bytes.subarray(at - length, at);
  };
  for (let left = view.getUint32(0, true); left > 0; left--) {
    const name = utf8(piece());
    yield [name, text(piece())];
  }
}

/** Fields that a filter hands over, however it has them: an object, pairs, a Map. */
export function fields(headers) {
  if (headers === undefined) return [];
  const pairs = typeof headers[Symbol.iterator] === "function" ? [...headers] : Object.entries(headers);
  return pairs.flatMap(([name, values]) => (Array.isArray(values) ? values : [values]).map((one) => ({ name, value: value(one) })));
}
