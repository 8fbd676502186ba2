// Arithmetic of totals, and words for numbers. The proxy only counts: totals become rates here.

export function none() {
  return { classes: [0, 0, 0, 0, 0, 0], durations: [], duration_us: 0, request_bytes: 0, response_bytes: 0 };
}

export function plus(one, other) {
  const longer = one.durations.length > other.durations.length ? one.durations : other.durations;
  return {
    classes: one.classes.map((count, at) => count + other.classes[at]),
    durations: longer.map((_, at) => (one.durations[at] || 0) + (other.durations[at] || 0)),
    duration_us: one.duration_us + other.duration_us,
    request_bytes: one.request_bytes + other.request_bytes,
    response_bytes: one.response_bytes + other.response_bytes,
  };
}

/** What was counted between two looks. A proxy that was started again counts from nothing. */
export function between(before, after) {
  const fallen = after.classes.some((count, at) => count < before.classes[at]);
  if (fallen) return after;
  return {
    classes: after.classes.map((count, at) => count - before.classes[at]),
    durations: after.durations.map((count, at) => count - (before.durations[at] || 0)),
    duration_us: after.duration_us - before.duration_us,
    request_bytes: after.request_bytes - before.request_bytes,
    response_bytes: after.response_bytes - before.response_bytes,
  };
}

export const count = (totals) => totals.classes.reduce((sum, more) => sum + more, 0);

/** The share that is neither 5xx nor without an answer; null where nothing was asked. */
export function success(totals) {
  const all = count(totals);
  return all === 0 ? null : 1 - (totals.classes[4] + totals.classes[5]) / all;
}

/** A percentile in milliseconds, in the middle of its bucket as far as is known. */
export function percentile(totals, bounds, share) {
  const all = totals.durations.reduce((sum, more) => sum + more, 0);
  if (all === 0) return null;
  let left = all * share;
  for (let at = 0; at < totals.durations.length; at += 1) {
    const here = totals.durations[at];
    if (left <= here && here > 0) {
      const from = at === 0 ? 0 : bounds[at - 1];
      const to = at < bounds.length ? bounds[at] : from;
      return (from + (to - from) * (left / here)) / 1000;
    }
    left -= here;
  }
  return bounds[bounds.length - 1] / 1000;
}

export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value === 0 ? "0" : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
export const percent = (share) => (share === null ? "–" : share === 1 ? "100 %" : `${(share * 100).toFixed(share > 0.999 ? 3 : 2)} %`);
export const time = (ms) => (ms === null ? "–" : ms >= 1000 ? `${number(ms / 1000)} s` : `${number(ms)} ms`);
export const grade = (share) => (share === null || share >= 0.999 ? "" : "ill");
