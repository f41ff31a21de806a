// What is said about a run in several places.

import { KIND_WORDS, STATE_WORDS, clock, day, fixed } from "./format.js";

export const SOURCE_WORDS = { live: "live", ...KIND_WORDS };

export const VERDICT_WORDS = {
  photon_limited: "photon-limited",
  mixed: "mixed",
  beam_limited: "beam-limited",
  no_beam: "no beam",
};

export function began(run) {
  return run.started_ms === null ? "time not known" : `${day(run.started_ms)} ${clock(run.started_ms)}`;
}

// A name for people: when, what kind, and the key, which is unique.
export function nameOf(run) {
  const kind = KIND_WORDS[run.source] ? `${KIND_WORDS[run.source]} ` : "";
  return `${kind}${began(run)}, ${run.series}`;
}

export function pathOf(run) {
  return `/?${new URLSearchParams({ series: run.series })}`;
}

// Icon and word for what limits a run, or why nobody can say.
export function verdictOf(run) {
  if (run.judged === "pending") return ["pending", "pending", "not judged yet"];
  if (run.judged === "open") return ["open", STATE_WORDS[run.state] ?? run.state, "judged when it is over"];
  if (run.judged === "failed") return ["failed", "not judged", run.judged_text];
  if (run.verdict === null) return ["none", "not known", run.verdict_text];
  return [run.verdict, VERDICT_WORDS[run.verdict] ?? run.verdict, run.verdict_text];
}

export function interval(low, high, digits) {
  return low === null || high === null ? "" : `${fixed(low, digits)} to ${fixed(high, digits)}`;
}
