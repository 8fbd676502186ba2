// Answers 404 to whoever asks for a file whose name begins with a dot, such as /.git/config or /.env. Only /.well-known passes.

// What of the interface this filter uses, as it crosses the border: a string is its address and its length, and what is more
// than one number comes back in memory.
@external("tamis:filter/request@0.1.0", "path")
declare function requestPath(result: usize): void;
@external("tamis:filter/reply@0.1.0", "set")
declare function replySet(status: i32, fields: usize, fieldCount: usize, body: usize, bodyLength: usize, result: usize): void;
@external("tamis:filter/log@0.1.0", "write")
declare function logWrite(severity: i32, message: usize, length: usize): void;

// Where the proxy puts what it hands over, and how all of that is given back.
@external("tamis", "realloc")
declare function realloc(old: usize, oldSize: usize, align: usize, size: usize): usize;
@external("tamis", "release")
declare function release(): void;

const NEXT = 0;
const REPLIED = 1;
const INFO = 2;
const WARN = 3;

// Results of several parts: 12 bytes are the most that this filter asks for.
const area = memory.data(12, 4);

export function configure(config: usize, configLength: usize, inputs: usize, inputCount: usize): usize {
  // What is imported must be in use, or the compiler leaves it out.
  realloc(0, 0, 1, 0);
  release();
  memory.fill(area, 0, 12);
  return area; // A result that begins with 0: there is nothing to refuse.
}

export function onRequest(): i32 {
  requestPath(area);
  const path = String.UTF8.decodeUnsafe(load<usize>(area), load<usize>(area, 4));
  release();
  if (!hidden(path)) return NEXT;
  log(INFO, `${path} is hidden`);
  const body = String.UTF8.encode("there is nothing here\n");
  replySet(404, 0, 0, changetype<usize>(body), body.byteLength, area);
  const refused = load<u8>(area) != 0;
  release();
  if (refused) log(WARN, "the reply is refused");
  return refused ? NEXT : REPLIED;
}

function hidden(path: string): bool {
  for (let at = path.indexOf("/."); at >= 0; at = path.indexOf("/.", at + 1)) {
    if (!path.startsWith("/.well-known", at)) return true;
  }
  return false;
}

function log(severity: i32, message: string): void {
  const text = String.UTF8.encode(message);
  logWrite(severity, changetype<usize>(text), text.byteLength);
}
