// Go or no-go: what the limits say of the beam. Without limits there is nothing to see.

import { moment } from "./format.js";
import { set } from "./figures.js";

const $ = (id) => document.getElementById(id);
const WORDS = { go: "GO", no_go: "NO GO", no_beam: "NO BEAM", unknown: "NOT KNOWN" };

// The decision about the newest frames of the series shown; null: another is followed.
function newest(state, header) {
  return state?.beam && (!header || header.series === state.series) ? state.beam : null;
}

// Why there is no beam just now, or null: there is, or nobody knows.
export function withoutBeam(state, header) {
  const beam = newest(state, header);
  return beam?.decision === "no_beam" ? beam.text : null;
}

// state: of the server; header: of the series shown, or null; live: frames come and the
// link works.
export function showBeam(state, header, live) {
  const followed = newest(state, header);
  const judged = followed ?? header?.assessment?.judged;
  const banner = $("go");
  banner.hidden = !judged?.limited && judged?.decision !== "no_beam";
  if (banner.hidden) return;
  const { decision } = judged;
  const now = followed && (live || decision === "unknown");
  banner.dataset.decision = now ? decision : "past";
  $("go-icon").setAttribute("href", `#g-${decision}`);
  set("go-word", now ? WORDS[decision] : `${followed ? "was" : "series:"} ${WORDS[decision]}`);
  set("go-text", judged.text);
  let scope = "whole series";
  if (followed) scope = `newest ${judged.window_s} s, since ${moment(judged.since)}`;
  set("go-scope", scope);
}
