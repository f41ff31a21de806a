// Stability over time: averaging, spectrum by time, position, next top-up, a stable stretch.

import { Panel, ask, seriesPath } from "./api.js";
import { AllanPlot, SpectrogramPlot } from "./stability-plots.js";
import { clock, fixed, integer, significant, span } from "./format.js";
import { set } from "./figures.js";
import { remember, remembered } from "./memory.js";
import { author } from "./notes.js";
import { fillRows } from "./rows.js";

const EVERY_MS = 8000;
const END = 2 ** 40 - 1; // stands for the end of a series that may still grow
const KEY = "stability-open";
const $ = (id) => document.getElementById(id);

export class StabilityPanel {
  // wanted() -> { series, channel, from, to, version } or null; now() -> the server's
  // time [ms]; onShow(first, last); onDecided(): frames count otherwise now.
  constructor({ wanted, now, onShow, onDecided }) {
    Object.assign(this, { now, onShow, onDecided });
    this.told = null;
    this.series = null; // that it is about
    this.undone = null; // { series, ids } of the last decision
    this.allan = new AllanPlot($("allan-plot"));
    this.spectrogram = new SpectrogramPlot($("spectrogram-plot"));
    const element = $("stability-panel");
    element.open = remembered(KEY) === "yes";
    element.addEventListener("toggle", () => remember(KEY, element.open ? "yes" : "no"));
    this.panel = new Panel(element, {
      everyMs: EVERY_MS,
      wanted,
      load: async ({ series, channel, from, to }, fresh) => {
        const told = await ask(seriesPath(series, "/stability", { channel, from, to, recent: !fresh }));
        return () => {
          this.series = series;
          return this.show(told);
        };
      },
      clear: () => this.forget(),
      failed: (text) => set("stability-problem", text),
    });
    $("segment-show").addEventListener("click", () => this.onShow(this.told.segment));
    $("segment-only").addEventListener("click", () => this.useOnly());
    $("segment-undo").addEventListener("click", () => this.undo());
    setInterval(() => this.countDown(), 500);
  }

  forget() {
    const series = this.panel.wanted()?.series ?? null;
    if (series !== this.series) this.say("", null); // of other frames it can stay
    this.series = series;
    this.show(null);
  }

  async show(told) {
    this.told = told;
    this.showSegment();
    this.countDown();
    set("topup-text", told?.topup.text ?? "");
    set("position-text", told?.position.text ?? "");
    const parts = told?.position.parts ?? [];
    $("position-table").hidden = parts.length === 0;
    set("position-unit", told?.position.unit === "per frame" ? "1/frame" : "Hz");
    fillRows($("position"), parts.map((part) => [
      part.name,
      significant(part.rms_percent),
      fixed(part.share_percent, 0),
      significant(part.peak_hz, 4),
    ]));
    set("allan-text", told ? `${told.allan.best} ${told.allan.text}`.trim() : "");
    set("spectrogram-text", told?.spectrogram.text ?? "");
    const picture = told?.spectrogram;
    const drawn = picture?.low !== null && picture?.low !== undefined;
    $("level").hidden = !drawn;
    set("level-low", drawn ? power(picture.low) : "");
    set("level-high", drawn ? `${power(picture.high)} ${picture.unit === "Hz" ? "1/Hz" : "frames"}` : "");
    await this.allan.show(told?.allan ?? null);
    await new Promise((done) => setTimeout(done)); // each plot in a task of its own
    await this.spectrogram.show(told?.spectrogram ?? null);
  }

  redraw() {
    this.allan.redraw();
    this.spectrogram.redraw();
  }

  // The server says when; here the seconds are counted down.
  countDown() {
    const topup = this.told?.topup;
    if (!topup?.due_ms) return set("topup-next", topup ? "No next top-up can be told." : "");
    const left = Math.round((topup.due_ms - this.now()) / 1000);
    const about = topup.due_spread_s === null ? "" : ` ± ${significant(topup.due_spread_s, 2)} s`;
    const when = `at ${clock(topup.due_ms)}${about}`;
    set("topup-next", left > 0 ? `Next top-up in ${integer(left)} s, ${when}` : `Top-up due now, ${when}`);
  }

  showSegment() {
    const segment = this.told?.segment ?? null;
    set("segment-text", segment ? `${span(segment.first, segment.last, "frame")}: ${segment.reason}.` : "No stable stretch is known.");
    $("segment-show").disabled = !segment;
    $("segment-only").disabled = !segment?.rest.length;
  }

  // Excludes all other frames: as one decision, which can be undone as one.
  async useOnly() {
    const { told } = this;
    const { series, segment } = told;
    if (told.used) return; // pressed twice
    told.used = true;
    const ids = [];
    const path = seriesPath(series, "/exclusions");
    const reason = `only ${span(segment.first, segment.last, "frame")}`;
    try {
      for (const { first, last } of segment.rest) {
        const body = { first, last: last ?? END, excluded: true, reason, author: author() };
        ids.push((await ask(path, { method: "POST", body })).id);
      }
      this.decided(`In use: ${reason}.`, { series, ids });
    } catch (error) {
      await this.withdraw({ series, ids }).catch(() => {});
      told.used = false;
      this.decided(`Not done: ${error.message}`, null);
    }
  }

  // Resolves to what is to be told.
  async undo() {
    const { undone } = this;
    if (!undone) return "";
    this.undone = null; // so that it is not asked for twice
    if (this.told) this.told.used = false;
    try {
      await this.withdraw(undone);
      return this.decided("Undone.", null);
    } catch (error) {
      return this.decided(`Not undone: ${error.message}`, undone);
    }
  }

  async withdraw({ series, ids }) {
    for (const id of ids) {
      await ask(seriesPath(series, `/exclusions/${encodeURIComponent(id)}`), { method: "DELETE" });
    }
  }

  decided(text, undone) {
    this.say(text, undone);
    this.panel.hurry();
    this.onDecided();
    return text;
  }

  say(text, undone) {
    const focused = document.activeElement;
    this.undone = undone;
    set("segment-said", text);
    $("segment-undo").hidden = undone === null;
    if (undone && focused === $("segment-only")) $("segment-undo").focus();
    if (!undone && focused === $("segment-undo")) $("segment-title").focus();
  }
}

// A power of ten, as the other plots write it.
function power(exponent) {
  return `1e${fixed(exponent, 1)}`;
}
