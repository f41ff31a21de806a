// Go or no-go: what the limits say of the beam. Without limits there is nothing to see.

import { moment } from "./format.js";
import { set } from "./figures.js";

const $ = (id) => document.getElementById(id);
const WORDS = { go: "GO", no_go: "NO GO", no_beam: "NO BEAM" };

// state: of the server; header: of the series shown, or null; live: frames come and the
// link works.
export function showBeam(state, header, live) {
  const followed = state?.beam && (!header || header.series === state.series);
  const judged = followed ? state.beam : header?.assessment?.judged;
  const decision = judged?.decision;
  const known = decision in WORDS;
  const banner = $("go");
  banner.hidden = !known;
  if (!known) return;
  const now = followed && live;
  banner.dataset.decision = now ? decision : "past";
  $("go-icon").setAttribute("href", `#g-${decision}`);
  set("go-word", now ? WORDS[decision] : `${followed ? "was" : "series:"} ${WORDS[decision]}`);
  set("go-text", judged.text);
  let scope = "whole series";
  if (followed) scope = `newest ${judged.window_s} s, since ${moment(judged.since)}`;
  set("go-scope", scope);
}
