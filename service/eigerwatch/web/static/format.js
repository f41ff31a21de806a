// Numbers and times as people read them.

const NARROW_SPACE = "\u202f";
const DASH = "–";

export function integer(value) {
  if (value === null || value === undefined) return DASH;
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, NARROW_SPACE);
}

export function fixed(value, digits) {
  if (value === null || value === undefined) return DASH;
  return value.toFixed(digits).replace("-", "\u2212");
}

// "7", "7 to 9", or with a noun "frame 7", "frames 7 to 9".
export function span(first, last, noun = "") {
  const many = last !== null && last > first;
  const word = noun && `${noun}${many ? "s" : ""} `;
  return many ? `${word}${integer(first)} to ${integer(last)}` : `${word}${integer(first)}`;
}

// With as many digits as matter: 0.0412, 12.3
export function significant(value, digits = 3) {
  if (value === null || value === undefined) return DASH;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-4) return value.toExponential(digits - 1).replaceAll("-", "\u2212");
  return Number(value.toPrecision(digits)).toString().replace("-", "\u2212");
}

// Counts: integers where they are large, else as many digits as matter.
export function counts(value) {
  if (value === null || value === undefined) return DASH;
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(6);
  if (size >= 1e5) return integer(value);
  const [whole, decimals] = value.toPrecision(6).split(".");
  if (size < 1e3 || decimals === undefined) return value.toPrecision(6);
  return `${integer(Number(whole))}.${decimals}`;
}

// Short enough for a tile: 6 485 052, 6.485 G
export function short(value) {
  if (value === null || value === undefined) return DASH;
  for (const [limit, unit] of [[1e15, "P"], [1e12, "T"], [1e9, "G"]]) {
    if (Math.abs(value) >= limit) return `${(value / limit).toPrecision(5)}${NARROW_SPACE}${unit}`;
  }
  return counts(value);
}

export function clock(ms) {
  return new Date(ms).toTimeString().slice(0, 8);
}

export function day(ms) {
  const date = new Date(ms);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function moment(ms) {
  return day(ms) === day(Date.now()) ? clock(ms) : `${day(ms)} ${clock(ms)}`;
}

export function age(seconds) {
  const s = Math.max(0, seconds);
  if (s < 120) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

export const STATE_WORDS = {
  no_data: "no data",
  armed: "armed",
  collecting: "collecting",
  settling: "settling",
  stalled: "stalled",
  finished: "finished",
  stopped_early: "stopped early",
  error: "error",
  connected: "connected",
  stale: "stale",
  disconnected: "disconnected",
};

export const KIND_WORDS = { sim: "SIMULATED", replay: "REPLAY", file: "FROM FILE" };

// Events that the analysis finds, and what is excluded by hand.
export const FOUND_WORDS = {
  empty: "empty",
  damaged: "damaged",
  topup: "top-up",
  step: "step",
  spike: "spike",
  drift: "drift",
  gap: "gap",
  user: "by hand",
};
