// What the next series is counted with: limits, regions and rings, chosen here.

import { Panel, ask, seriesPath } from "./api.js";
import { drawByDragging } from "./drag-region.js";
import { STATE_WORDS, integer, moment } from "./format.js";
import { set } from "./figures.js";
import { author } from "./notes.js";
import { drawRegions, regionOf, regionRow, typed } from "./shapes.js";

const EVERY_MS = 5000;
const PATH = "/api/v1/settings/next";
const PREVIEW_MS = 10000; // the picture behind the regions is so fresh
const $ = (id) => document.getElementById(id);

export class SettingsPanel {
  constructor() {
    this.told = null;
    this.seen = "";
    this.edited = false;
    this.panel = new Panel($("settings-panel"), {
      everyMs: EVERY_MS,
      wanted: () => ({ version: Math.floor(performance.now() / EVERY_MS) }),
      load: async () => {
        const told = await ask(PATH);
        return () => this.show(told);
      },
      clear: () => {},
      failed: (text) => {
        if (text || !this.edited) set("settings-problem", text);
      },
    });
    $("settings-form").addEventListener("input", () => this.edit());
    $("settings-add").addEventListener("click", () => this.add());
    drawByDragging($("settings-map"), (rectangle) => this.add(rectangle));
    $("settings-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.command("PUT", PATH, { ...this.wanted(), author: author() }, "Taken: it holds from the next series on.");
    });
    $("settings-reset").addEventListener("click", () => {
      const query = new URLSearchParams({ author: author() });
      this.command("DELETE", `${PATH}?${query}`, null, "The file's settings hold from the next series on.");
    });
    $("settings-drop").addEventListener("click", () => {
      this.edited = false;
      this.seen = "";
      set("settings-problem", "");
      this.show(this.told);
    });
  }

  async command(method, path, body, done) {
    set("settings-done", "");
    try {
      const told = await ask(path, { method, body });
      this.edited = false;
      this.seen = "";
      set("settings-problem", "");
      set("settings-done", done);
      this.show(told);
    } catch (error) {
      set("settings-problem", `Not taken: ${error.message}`);
    }
  }

  edit() {
    this.edited = true;
    set("settings-done", "");
    this.buttons();
    this.draw();
  }

  // rectangle: [y0, y1, x0, x1]; empty: to be typed.
  add(rectangle = []) {
    const taken = this.regions().map(({ name }) => name);
    let n = 1;
    while (taken.includes(`roi_${n}`)) n += 1;
    const row = regionRow({ name: `roi_${n}`, rectangle }, () => this.edit());
    $("settings-rois").append(row);
    row.querySelector(".name").focus();
    this.edit();
  }

  regions() {
    return [...$("settings-rois").children].map(regionOf);
  }

  wanted() {
    const rings = $("settings-rings").value.split(/[,;\s]+/).filter(Boolean).map(typed);
    return {
      low: typed($("settings-low").value),
      high: typed($("settings-high").value),
      rois: this.regions(),
      rings: rings.length > 1 ? rings : rings[0] ?? 0,
    };
  }

  show(told) {
    this.told = told;
    const { file, chosen } = told;
    set("settings-word", told.changed && !told.problem ? "· chosen here" : "");
    set("settings-effect", effect(told));
    $("settings-effect").classList.toggle("failed", told.problem !== "");
    set("settings-running", running(told.running));
    set("settings-low-file", `file: ${file.low}`);
    set("settings-high-file", `file: ${file.high}`);
    set("settings-rings-file", `file: ${ringsText(file.rings)}`);
    set("settings-rois-file", file.rois.length ? `file: ${file.rois.map(({ name }) => name).join(", ")}` : "file: none");
    const seen = JSON.stringify(chosen);
    if (!this.edited && seen !== this.seen) {
      this.seen = seen;
      $("settings-low").value = String(chosen.low);
      $("settings-high").value = String(chosen.high);
      $("settings-rings").value = ringsText(chosen.rings);
      $("settings-rois").replaceChildren(...chosen.rois.map((region) => regionRow(region, () => this.edit())));
    }
    this.buttons();
    this.draw();
  }

  buttons() {
    $("settings-use").disabled = !this.told || !this.edited;
    $("settings-drop").disabled = !this.edited;
    $("settings-reset").disabled = !this.told?.changed;
  }

  draw() {
    const shown = this.told?.running;
    $("settings-figure").hidden = !shown?.picture;
    if (!shown?.picture) return;
    const n = Math.floor(performance.now() / PREVIEW_MS);
    const source = seriesPath(shown.series, "/preview", { channel: shown.channel, n });
    drawRegions($("settings-map"), shown.picture, source, this.regions());
  }
}

function effect({ changed, by, changed_ms: ms, problem }) {
  const who = by ? ` by ${by}` : "";
  const when = ms === null ? "" : `, ${moment(ms)}`;
  if (problem) return `The file's settings hold: what was chosen${who}${when} cannot be used (${problem}).`;
  if (changed) return `The next series is counted as chosen here${who}${when}.`;
  if (ms !== null) return `The next series is counted as the settings file says; put back${who}${when}.`;
  return "The next series is counted as the settings file says.";
}

function running(told) {
  if (!told) return "";
  const limits = told.low === null ? "" : ` counts ${integer(told.low)} to ${integer(told.high)}`;
  const regions = told.regions.length ? `, regions ${told.regions.join(", ")}` : "";
  const same = told.as_next ? "as the next one will" : "and keeps that";
  const state = STATE_WORDS[told.state] ?? told.state;
  return `Series ${told.series} (${state})${limits ? `${limits}${regions}, ${same}` : ""}.`;
}

function ringsText(rings) {
  return Array.isArray(rings) ? rings.join(", ") : String(rings);
}
