// Figures of many runs against the time at which they began.

import { Panel, ask } from "./api.js";
import { colour, set } from "./figures.js";
import { clock, counts, day, fixed, integer, significant } from "./format.js";
import { literal } from "./literal.js";
import { MadePlot } from "./overlay.js";
import { nameOf, pathOf } from "./run-words.js";

export const MOST = 1000;
const EVERY_MS = 10000;
const SYMBOLS = { live: "circle", sim: "diamond-open", replay: "square-open", file: "triangle-up-open" };
const WORDS = "● live, ◇ simulated, □ replay, △ from file";
// Field, its limits, title, how it is told, colour.
const ROWS = [
  ["mean", "mean_low", "mean_high", "mean (counts)", (run) => counts(run.mean), "--text"],
  ["cv_percent", "cv_low", "cv_high", "CV %", (run) => `${fixed(run.cv_percent, 4)} %`, "--raw"],
  ["cv_beam_percent", "cv_beam_low", "cv_beam_high", "CV beam %", (run) => `${fixed(run.cv_beam_percent, 4)} %`, "--det"],
  ["rejected_percent", null, null, "rejected %", (run) => `${significant(run.rejected_percent)} %`, "--missing"],
];

export class Trend {
  // wanted() -> { query, version } or null: without limits and order.
  constructor({ wanted }) {
    this.runs = [];
    this.seen = "";
    this.plot = new MadePlot($("trend"));
    this.plot.onFirst = () => $("trend").on("plotly_click", ({ points }) => {
      location.assign(pathOf(this.runs.find((run) => run.series === points[0].customdata)));
    });
    this.panel = new Panel($("trend-panel"), {
      everyMs: EVERY_MS,
      wanted,
      load: async ({ query }) => {
        const told = await ask(`/api/v1/runs?${query}${query && "&"}limit=${MOST}&sparkline=false`);
        return () => this.show(told);
      },
      clear: () => {},
      failed: (text) => set("trend-problem", text),
    });
  }

  redraw() {
    return this.plot.redraw();
  }

  show({ runs, total }) {
    const seen = JSON.stringify(runs);
    if (seen === this.seen) return null;
    this.seen = seen;
    this.runs = runs.filter((run) => run.started_ms !== null);
    const judged = this.runs.filter((run) => run.mean !== null).length;
    const newest = total > MOST ? `the newest ${integer(MOST)} of ${integer(total)} runs; ` : "";
    set("trend-text", this.runs.length
      ? `${newest}${integer(judged)} with figures; bars are 95 % intervals; ${WORDS}` : "No run to show.");
    $("trend").hidden = this.runs.length === 0;
    $("trend").dataset.runs = String(this.runs.length);
    return this.plot.draw((axis) => this.drawing(axis));
  }

  drawing(axis) {
    const height = 1 / ROWS.length;
    const layout = {
      margin: { l: 86, r: 14, t: 8, b: 44 },
      xaxis: axis("", {
        type: "date", anchor: `y${ROWS.length}`, tickformat: "%H:%M\n%Y-%m-%d",
        tickangle: 0, nticks: Math.max(2, Math.floor(this.plot.width / 140)),
      }),
    };
    ROWS.forEach(([, , , title], row) => {
      layout[`yaxis${row ? row + 1 : ""}`] = axis(title, {
        domain: [1 - (row + 1) * height + 0.03, 1 - row * height],
        rangemode: row === 3 ? "tozero" : "normal", tickformat: row ? "~g" : ",~r", nticks: 5, exponentformat: "none",
      });
    });
    return { traces: ROWS.map((row, index) => this.trace(row, index)), layout };
  }

  trace([field, low, high, title, tell, tint], row) {
    const runs = this.runs.filter((run) => run[field] !== null);
    const far = (limit, sign) => runs.map((run) => (run[limit] === null ? 0 : Math.max(0, sign * (run[limit] - run[field]))));
    const line = colour(tint);
    return {
      type: "scatter", mode: "markers", name: title, yaxis: `y${row ? row + 1 : ""}`,
      x: runs.map((run) => `${day(run.started_ms)} ${clock(run.started_ms)}`),
      y: runs.map((run) => run[field]),
      error_y: low && {
        type: "data", symmetric: false, array: far(high, 1), arrayminus: far(low, -1),
        color: line, thickness: 1.2, width: 3,
      },
      text: runs.map((run) => literal(`${nameOf(run)}`) + `<br>${title}: ${literal(tell(run))}`),
      customdata: runs.map((run) => run.series),
      hovertemplate: "%{text}<extra></extra>",
      marker: { size: 8, color: line, symbol: runs.map((run) => SYMBOLS[run.source] ?? "x") },
    };
  }
}

function $(id) {
  return document.getElementById(id);
}
