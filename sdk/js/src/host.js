// The interfaces of wit/, as whoever runs the filter gives them: the proxy (exports.js) or a test (testing.js).

export const host = {};

export function bind(interfaces) {
  Object.assign(host, interfaces);
}
