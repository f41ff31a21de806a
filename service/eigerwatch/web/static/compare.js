// Two series against each other: the verdict, and the ratios it rests on.

import { ask } from "./api.js";
import { counts, fixed, significant } from "./format.js";
import { set } from "./figures.js";
import { fillRows } from "./rows.js";

const $ = (id) => document.getElementById(id);
const RATIOS = [["mean", "mean", counts], ["cv", "CV %", significant], ["cv_beam", "CV beam %", significant]];

export class Compare {
  // choice: the list of series; current() -> key of the series shown, or null.
  constructor({ choice, current }) {
    Object.assign(this, { choice, current });
    this.asked = null;
    $("compare-panel").addEventListener("toggle", () => this.offer());
    for (const id of ["compare-a", "compare-b"]) {
      $(id).addEventListener("focus", () => this.offer());
      $(id).addEventListener("change", () => this.changed());
    }
    $("compare-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.compare();
    });
  }

  async offer() {
    if (!$("compare-panel").open) return;
    await this.choice.refresh();
    const { list } = this.choice;
    const here = this.current();
    const other = list.find((one) => one.series !== here && one.frames > 0);
    this.fill($("compare-a"), other?.series);
    this.fill($("compare-b"), here);
    this.link();
  }

  fill(select, preset) {
    if (document.activeElement === select && select.options.length) return;
    const chosen = select.value || preset || "";
    const options = this.choice.list.map((one) => this.choice.option(one));
    select.replaceChildren(...options);
    // One that is gone is not replaced by whatever comes first.
    select.value = this.choice.list.some((one) => one.series === chosen) ? chosen : "";
  }

  // What stands there would be read as that of the new pair.
  changed() {
    if (this.link() === this.asked) return;
    this.asked = null;
    this.clear();
  }

  clear() {
    for (const id of ["compare-verdict", "compare-remarks"]) set(id, "");
    $("compare-table").hidden = true;
  }

  link() {
    const query = new URLSearchParams({ a: $("compare-a").value, b: $("compare-b").value });
    const ready = $("compare-a").value !== "" && $("compare-b").value !== "";
    $("compare-go").disabled = !ready;
    if (ready) $("compare-html").href = `/api/v1/compare.html?${query}`;
    else $("compare-html").removeAttribute("href");
    return `/api/v1/compare?${query}`;
  }

  async compare() {
    const path = this.link();
    this.asked = path;
    this.clear();
    set("compare-verdict", "Comparing …");
    try {
      const { comparison } = await ask(path);
      if (this.asked === path) this.show(comparison);
    } catch (error) {
      if (this.asked === path) this.show(null, error.message);
    }
  }

  show(told, problem = "") {
    set("compare-verdict", told ? told.verdict : `Not compared: ${problem}`);
    set("compare-remarks", [...(told?.refusals ?? []), ...(told?.warnings ?? [])].join("; "));
    $("compare-table").hidden = !told;
    if (!told) return;
    const ratios = RATIOS.map(([name, word, figure]) => [word, told[name], figure(told[name].a), figure(told[name].b)]);
    const bands = told.bands.map((band) => [
      `${significant(band.low_hz)} to ${significant(band.high_hz)} ${band.unit}, rms %`,
      band, significant(band.rms_a_percent), significant(band.rms_b_percent),
    ]);
    const rows = [...ratios, ...bands];
    fillRows($("compare-rows"), rows.map(([word, one, a, b]) => [
      word, a, b, fixed(one.ratio, 4),
      one.low === null || one.high === null ? "–" : `${fixed(one.low, 4)} to ${fixed(one.high, 4)}`,
      one.significant ? "yes" : "no",
    ]), (row, index) => row.classList.toggle("changed", rows[index][1].significant === true));
  }
}
