// Two to four runs against each other: verdict, traces, spectra.

import { ask, seriesPath } from "./api.js";
import { set } from "./figures.js";
import { MadePlot, ratio, spectra, traces } from "./overlay.js";
import { nameOf } from "./run-words.js";
import { decodeTick } from "./tick.js";

const LETTERS = ["A", "B", "C", "D"];
const PX = 800; // two points for each
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

export class RunsCompare {
  constructor({ onClose }) {
    this.asked = 0;
    this.ticks = [];
    this.plots = { overlay: new MadePlot($("overlay")), spectra: new MadePlot($("spectra")), ratio: new MadePlot($("ratio")) };
    for (const id of ["by-frame", "by-time"]) $(id).addEventListener("change", () => this.drawTraces());
    $("comparison-close").addEventListener("click", () => {
      this.asked += 1;
      $("comparison").hidden = true;
      onClose();
    });
  }

  redraw() {
    for (const plot of Object.values(this.plots)) plot.redraw();
  }

  async show(runs) {
    this.asked += 1;
    const { asked } = this;
    const current = (act) => (found) => (asked === this.asked ? act(found) : null);
    this.names = runs.map((run, index) => `${LETTERS[index]}: ${nameOf(run)}`);
    $("comparison").hidden = false;
    $("comparison").setAttribute("aria-busy", "true");
    $("compared").replaceChildren(...this.names.map(legend));
    for (const id of ["comparison-remarks", "comparison-problem", "ratio-text"]) set(id, "");
    $("ratio-part").hidden = true;
    const pair = runs.length === 2;
    const query = new URLSearchParams({ a: runs[0].series, b: runs[1].series });
    $("comparison-html").hidden = !pair;
    if (pair) $("comparison-html").href = `/api/v1/compare.html?${query}`;
    set("comparison-verdict", pair ? "Comparing …" : "");
    $("comparison-title").focus();
    const fail = current((error) => set("comparison-problem", error.message));
    await Promise.all([
      Promise.all(runs.map(({ series }) => traceOf(series)))
        .then(current((ticks) => this.showTraces(ticks))).catch(fail),
      Promise.all(runs.map(({ series }) => ask(seriesPath(series, "/spectrum", { brief: true, recent: true }))))
        .then(current((told) => this.plots.spectra.draw((axis) => spectra(axis, told, this.names)))).catch(fail),
      pair ? ask(`/api/v1/compare?${query}`).then(current(({ comparison }) => this.showPair(comparison)))
        .catch(current((error) => set("comparison-verdict", `Not compared: ${error.message}`))) : null,
    ]);
    if (asked === this.asked) $("comparison").setAttribute("aria-busy", "false");
  }

  showTraces(ticks) {
    this.ticks = ticks;
    const timed = ticks.every(({ header }) => header.frame_time_s);
    $("by-time").disabled = !timed;
    if (!timed) $("by-frame").checked = true;
    return this.drawTraces();
  }

  drawTraces() {
    return this.plots.overlay.draw((axis) => traces(axis, this.ticks, this.names, $("by-time").checked ? "time" : "frame"));
  }

  showPair(told) {
    set("comparison-verdict", told.verdict);
    set("comparison-remarks", [...told.refusals, ...told.warnings, told.frequencies_text].filter(Boolean).join("; "));
    $("ratio-part").hidden = told.spectrum === null;
    if (told.spectrum === null) return null;
    set("ratio-text", told.spectrum.text);
    return this.plots.ratio.draw((axis) => ratio(axis, told.spectrum));
  }
}

async function traceOf(series) {
  const response = await fetch(seriesPath(series, "/trace", { px: PX }));
  if (!response.ok) throw new Error(`the trace of ${series} does not come: HTTP ${response.status}`);
  return decodeTick(await response.arrayBuffer());
}

function legend(name, index) {
  const item = document.createElement("li");
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 26 8");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", "M0 4h26");
  line.setAttribute("stroke-width", "3");
  line.setAttribute("class", `series-${index}`);
  svg.append(line);
  const text = document.createElement("span");
  text.textContent = name;
  item.append(svg, text);
  return item;
}
