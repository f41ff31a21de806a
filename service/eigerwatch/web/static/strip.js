// The strip between the panels, with gaps, events and findings; and the panels' shades.

import { colour, set } from "./figures.js";
import { FOUND_WORDS, integer, span as framesText } from "./format.js";
import { MainPart } from "./main-part.js";

const EVENT_SYMBOLS = {
  topup: "triangle-up-open", damaged: "diamond-open", empty: "circle-open",
  step: "triangle-right-open", spike: "star-triangle-up-open", settings: "square-open",
  no_beam: "circle-x-open", alarm: "octagon-open",
};
// Of what the analysis found; filled where the frames do not count.
const FOUND_SYMBOLS = {
  empty: "circle", damaged: "diamond", topup: "triangle-up", step: "triangle-right",
  spike: "star", drift: "triangle-ne",
};
const ALARMING = ["empty", "damaged"];
const MOST_MARKED = 200;
const LABEL = "gaps, events";

export class StripPlot extends MainPart {
  constructor(box, on) {
    super(box, on);
    const label = document.createElement("span");
    label.textContent = LABEL;
    box.append(label);
    this.label = label;
    this.told = "";
  }

  // Mostly the same as before: then there is nothing to do.
  figure() {
    if (!this.scene) return null;
    const { blocks, events, found, span } = this.scene;
    const hidden = { showgrid: false, showticklabels: false };
    const known = within(events, EVENT_SYMBOLS, ({ frame }) => [frame, frame], span);
    const judged = within(found.events, FOUND_SYMBOLS, ({ first, last }) => [first, last], span);
    const left = known.left + judged.left;
    set(this.label, left ? `${LABEL}: ${integer(left)} earlier ones not marked, zoom in` : LABEL);
    const figure = {
      traces: [...stripTraces(blocks, known.shown), foundTrace(judged.shown, span)],
      layout: {
        dragmode: "zoom", margin: { ...this.sides, t: 0, b: 0 }, plot_bgcolor: colour("--strip"),
        xaxis: this.axis("", { ...hidden, fixedrange: false, range: span }),
        yaxis: this.axis("", { ...hidden, range: [-1, 1] }),
      },
    };
    const told = JSON.stringify([figure, this.width, this.height]);
    if (this.drawn && told === this.told) return null;
    this.told = told;
    return figure;
  }
}

// "frame 7: 1 missing"; or, where other frames lie between, "3 missing, 1 rejected
// among frames 7 to 20".
function runText(first, length, counts) {
  const frames = framesText(first, first + length - 1, "frame");
  const said = counts.filter(([count]) => count > 0);
  const what = said.map(([count, word]) => `${integer(count)} ${word}`).join(", ");
  return isSolid(length, counts) ? `${frames}: ${what}` : `${what} among ${frames}`;
}

function isSolid(length, counts) {
  return counts.reduce((sum, [count]) => sum + count, 0) === length;
}

// Those of known kinds in sight, the latest ones where there are many.
function within(events, symbols, place, [from, to]) {
  const found = events.filter((event) => {
    const [first, last] = place(event);
    return event.kind in symbols && first !== null && last >= from && first <= to;
  }).sort((a, b) => place(a)[0] - place(b)[0]);
  return { shown: found.slice(-MOST_MARKED), left: Math.max(0, found.length - MOST_MARKED) };
}

function stripTraces(blocks, shown) {
  const base = { type: "scatter", mode: "markers" };
  const solid = { x: [], y: [] };
  const joined = { x: [], y: [] };
  const missing = { x: [], y: [], text: [] };
  const rejected = { x: [], y: [], text: [] };
  const late = { x: [], y: [], text: [] };
  const mark = (kind, first, length, counts) => {
    kind.x.push(first + (length - 1) / 2);
    kind.y.push(0);
    kind.text.push(runText(first, length, counts));
  };
  for (let i = 0; i < blocks.hole_first.length; i += 1) {
    const [first, length] = [blocks.hole_first[i], blocks.hole_len[i]];
    const counts = [[blocks.hole_missing[i], "missing"], [blocks.hole_rejected[i], "rejected"]];
    const run = isSolid(length, counts) ? solid : joined;
    run.x.push(first - 0.5, first + length - 0.5, null);
    run.y.push(0, 0, null);
    mark(blocks.hole_rejected[i] > 0 ? rejected : missing, first, length, counts);
  }
  for (let i = 0; i < blocks.late_first.length; i += 1) {
    mark(late, blocks.late_first[i], blocks.late_len[i], [[blocks.late_frames[i], "late"]]);
  }
  const hovertemplate = "%{text}<extra></extra>";
  const line = { ...base, mode: "lines", hoverinfo: "skip" };
  const traces = [
    { ...line, ...solid, name: "gaps", line: { color: colour("--missing"), width: 6 } },
    // Thinner: there are stored frames in between.
    { ...line, ...joined, name: "gaps, joined", line: { color: colour("--missing"), width: 2 } },
    { ...base, ...late, hovertemplate, name: "late", marker: { symbol: "hourglass-open", size: 9, color: colour("--text") } },
    { ...base, ...missing, hovertemplate, name: "missing", marker: { symbol: "x-thin", size: 9, color: colour("--missing"), line: { color: colour("--missing"), width: 2 } } },
    { ...base, ...rejected, hovertemplate, name: "rejected", marker: { symbol: "diamond", size: 9, color: colour("--alarm") } },
  ];
  traces.push({
    ...base, name: "events", x: shown.map((e) => e.frame), y: shown.map(() => 0),
    text: shown.map((e) => `frame ${e.frame}: ${e.kind}`), hovertemplate,
    marker: { symbol: shown.map((e) => EVENT_SYMBOLS[e.kind]), size: 10, color: colour("--text") },
  });
  return traces;
}

function foundTrace(shown, [from]) {
  return {
    type: "scatter", mode: "markers", name: "found",
    x: shown.map((e) => Math.max(from, e.first)), y: shown.map(() => 0),
    text: shown.map((e) => `${FOUND_WORDS[e.kind]}, ${framesText(e.first, e.last, "frame")}, ${e.excluded_by ? "excluded" : "counts"}`),
    hovertemplate: "%{text}<extra></extra>",
    marker: {
      symbol: shown.map((e) => (e.excluded_by ? FOUND_SYMBOLS[e.kind] : `${FOUND_SYMBOLS[e.kind]}-open`)),
      size: 11, color: shown.map((e) => colour(ALARMING.includes(e.kind) ? "--alarm" : "--text")),
      line: { width: 1.5 },
    },
  };
}

// One closed path per excluded interval, over the panel's height.
export function shade(name, intervals, [low, high], [from, to]) {
  const x = [];
  const y = [];
  for (const { first, last } of intervals) {
    const a = Math.max(from, first - 0.5);
    const b = Math.min(to, last === null ? to : last + 0.5);
    if (!(b > a)) continue;
    x.push(a, a, b, b, null);
    y.push(low, high, high, low, null);
  }
  return {
    type: "scatter", mode: "lines", name: `${name}, excluded`, x, y,
    fill: "toself", fillcolor: colour("--shade"), hoverinfo: "skip",
    line: { color: colour("--shade"), width: 1 },
  };
}
