// Two to four runs: what has changed against the first, traces, spectra.

import { ask, seriesPath } from "./api.js";
import { set } from "./figures.js";
import { MadePlot, ratios, spectra } from "./overlay.js";
import { OverlayTraces } from "./overlay-traces.js";
import { fillRows } from "./rows.js";
import { nameOf } from "./run-words.js";

const LETTERS = ["A", "B", "C", "D"];
const CHANGES = ["mean", "cv", "cv_beam"];
const BY_ITSELF = "Each of these holds at 95 % by itself: the more runs are compared, the sooner one differs by chance.";
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

export class RunsCompare {
  // onChange(): the address of what is shown is another.
  constructor({ onClose, onChange }) {
    this.asked = 0;
    const onProblem = (error) => set("comparison-problem", error.message);
    this.overlay = new OverlayTraces($("overlay"), { onProblem, onChange });
    this.plots = { spectra: new MadePlot($("spectra")), ratio: new MadePlot($("ratio")) };
    $("comparison-close").addEventListener("click", () => {
      this.asked += 1;
      $("comparison").hidden = true;
      onClose();
    });
  }

  redraw() {
    for (const plot of [this.overlay, ...Object.values(this.plots)]) plot.redraw();
  }

  // What of the runs is shown, for the page's address.
  get address() {
    return this.overlay.address();
  }

  async show(runs, address = "") {
    this.asked += 1;
    const { asked } = this;
    const current = (act) => (found) => (asked === this.asked ? act(found) : null);
    const names = runs.map((run, index) => `${LETTERS[index]}: ${nameOf(run)}`);
    $("comparison").hidden = false;
    $("comparison").setAttribute("aria-busy", "true");
    $("compared").replaceChildren(...names.map(legend));
    for (const plot of Object.values(this.plots)) plot.clear();
    set("comparison-problem", "");
    for (const id of ["comparison-remarks", "ratio-text"]) lines(id, []);
    $("ratio-part").hidden = $("changes").hidden = true;
    lines("comparison-verdict", ["Comparing …"]);
    $("comparison-title").focus();
    const fail = current((error) => set("comparison-problem", error.message));
    const keys = runs.map(({ series }) => series);
    await Promise.all([
      this.overlay.show(keys, names, address),
      Promise.all(keys.map((key) => ask(seriesPath(key, "/spectrum", { brief: true, recent: true }))))
        .then(current((told) => this.plots.spectra.draw((axis) => spectra(axis, told, names)))).catch(fail),
      Promise.all(keys.slice(1).map((key) => compared(keys[0], key))).then(current((found) => this.showChanges(found))),
    ]);
    if (asked === this.asked) $("comparison").setAttribute("aria-busy", "false");
  }

  // found: for B, C, D against A.
  showChanges(found) {
    const several = found.length > 1;
    const letter = (index) => LETTERS[index + 1];
    const named = (index, text) => (several && text ? `${letter(index)}: ${text}` : text);
    const verdicts = found.map(({ told, problem }, index) => named(index, told?.verdict ?? `Not compared: ${problem}`));
    lines("comparison-verdict", verdicts);
    const remarks = found.map(({ told }, index) => named(index, told ? remarksOf(told) : ""));
    lines("comparison-remarks", several ? [...remarks, BY_ITSELF] : remarks);
    this.showTable(found);
    const spectral = found.map(({ told }, index) => ({ index: index + 1, letter: letter(index), found: told?.spectrum }))
      .filter((one) => one.found);
    $("ratio-part").hidden = spectral.length === 0;
    lines("ratio-text", spectral.map((one) => named(one.index - 1, one.found.text)));
    return spectral.length ? this.plots.ratio.draw((axis) => ratios(axis, spectral)) : null;
  }

  showTable(found) {
    $("changes").hidden = false;
    const texts = found.map(({ told }, index) => [
      `${LETTERS[index + 1]} over A`, ...CHANGES.map((name) => told?.[name].text ?? "–"), "",
    ]);
    fillRows($("change-rows"), texts, (row, index) => {
      const { told, query } = found[index];
      CHANGES.forEach((name, place) => row.cells[place + 1].classList.toggle("changed", told?.[name].significant === true));
      if (!told) return;
      const link = document.createElement("a");
      link.href = `/api/v1/compare.html?${query}`;
      link.download = "";
      link.textContent = "HTML";
      link.setAttribute("aria-label", `Comparison of ${LETTERS[index + 1]} with A as HTML`);
      row.cells[row.cells.length - 1].replaceChildren(link);
    });
  }
}

// What the server says of B against A, or why it cannot.
async function compared(a, b) {
  const query = new URLSearchParams({ a, b });
  try {
    return { query, told: (await ask(`/api/v1/compare?${query}`)).comparison };
  } catch (error) {
    return { query, told: null, problem: error.message };
  }
}

function remarksOf(told) {
  return [...told.refusals, ...told.warnings, told.frequencies_text].filter(Boolean).join("; ");
}

function lines(id, texts) {
  $(id).replaceChildren(...texts.filter(Boolean).map((text) => {
    const line = document.createElement("p");
    line.textContent = text;
    return line;
  }));
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
