// The big numbers: what the assessment says of the whole series, and how old it is.

import { FOUND_WORDS, age, fixed, integer, short } from "./format.js";
import { set } from "./figures.js";

const $ = (id) => document.getElementById(id);
const VERDICTS = {
  no_beam: "no beam",
  photon_limited: "photon-limited",
  mixed: "mixed",
  beam_limited: "beam-limited",
};

const NO_CV = {
  cv_percent: null, cv_interval: null, cv_shot_percent: null, cv_beam_percent: null, cv_beam_interval: null,
};

// What the tiles show of a header; dark: why there is no beam just now, or null.
function figuresOf(header, dark) {
  const found = header?.assessment ?? null;
  const figures = found ?? header?.tiles ?? {};
  return dark === null ? figures : { ...figures, ...NO_CV, verdict: "no_beam", verdict_text: dark };
}

export function cvOf(header, dark) {
  return figuresOf(header, dark).cv_percent ?? null;
}

export function showTiles(header, dark = null) {
  const found = header?.assessment ?? null;
  const figures = figuresOf(header, dark);
  set("cv", fixed(figures.cv_percent, 3));
  set("cv-interval", interval(figures.cv_interval));
  set("shot", `shot-noise limit ${fixed(figures.cv_shot_percent, 3)} %`);
  const lit = figures.verdict !== "no_beam";
  set("recent", lit ? recent(header?.recent) : "");
  set("beam", fixed(figures.cv_beam_percent, 3));
  set("beam-interval", interval(figures.cv_beam_interval) || "without photon counting");
  set("mean", short(figures.mean));
  set("lowest", lowest(header?.tiles));
  set("drift", fixed(figures.drift_percent, 3));
  const error = found?.drift_error_percent ?? null;
  set("drift-error", error === null ? "first to last frame" : `± ${fixed(error, 3)} % over the run`);
  set("excluded", integer(found?.excluded));
  set("excluded-kinds", found ? kinds(found.usage.excluded) : "frames left out");
  showVerdict(header, figures);
}

function showVerdict(header, figures) {
  const found = "verdict_text" in figures;
  const verdict = figures.verdict ?? null;
  const tile = $("verdict-tile");
  tile.dataset.verdict = verdict ?? "none";
  $("verdict-icon").setAttribute("href", `#v-${verdict ?? "none"}`);
  const known = found && !verdict ? "not known" : "–";
  set("verdict", VERDICTS[verdict] ?? known);
  const waiting = header?.n ? "being assessed …" : "";
  const text = found ? figures.verdict_text : waiting;
  set("verdict-text", text);
  tile.title = text;
}

// The frame with the smallest sum of those that count.
function lowest(tiles) {
  const { lowest: frame = null, lowest_percent: percent = null } = tiles ?? {};
  return frame === null || percent === null ? "" : `, least ${fixed(percent, 2)} % at frame ${integer(frame)}`;
}

// "0.181 to 0.183 %"; empty where there is no interval.
function interval(between) {
  const { low, high } = between ?? { low: null, high: null };
  return low === null || high === null ? "" : `95 %: ${fixed(low, 3)} to ${fixed(high, 3)} %`;
}

// Of a series that is being taken: is it worse just now?
function recent(window) {
  if (!window || window.cv_percent === null) return "";
  return `last ${window.seconds} s: ${fixed(window.cv_percent, 3)} %`;
}

function kinds(excluded) {
  const parts = Object.entries(excluded).map(([kind, n]) => `${integer(n)} ${FOUND_WORDS[kind] ?? kind}`);
  return parts.join(", ") || "all frames count";
}

// How far the figures reach and when they were made.
export function showAssessed(header, serverNowMs) {
  const found = header?.assessment;
  if (!header?.n) return setAssessed("", "");
  if (!found) return setAssessed("", "being assessed …; figures by one line through all frames meanwhile");
  const newest = found.newest >= header.n - 1;
  const made = `${age((serverNowMs - found.made) / 1000)} ago`;
  const reach = newest ? "to the newest frame" : `to frame ${integer(found.newest)}, ${made}`;
  setAssessed(`Figures of ${found.usage_text};`, `assessed ${reach}`);
}

function setAssessed(usage, reach) {
  set("assessed-usage", usage);
  set("assessed-reach", reach);
}
