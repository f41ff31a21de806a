// The panels below the plot, each about the frames that are shown.

import { Compare } from "./compare.js";
import { StabilityPanel } from "./stability.js";
import { Found } from "./found.js";
import { HistogramPanel } from "./histogram.js";
import { ModulesPanel } from "./modules.js";
import { Notes } from "./notes.js";
import { SpectrumPanel } from "./spectrum.js";

const NOTES_MS = 15000; // others may write notes too

export class Panels {
  // view: as in url.js; header() -> of the tick shown, or null; choice: the list of
  // series; now(): the server's [ms]; onFound, onPick: events were found, one was
  // picked; onShow: frames shall be shown.
  constructor({ view, header, choice, now, onFound, onPick, onShow }) {
    // What a panel is about; a new version says that asking again is worth it.
    const about = (version) => {
      const shown = header();
      if (!shown?.n) return null;
      return { series: shown.series, channel: shown.channel, version: version(shown) };
    };
    const assessed = (version) => (header()?.assessment ? about(version) : null);
    this.found = new Found({
      wanted: () => assessed(
        ({ assessment }) => `${assessment.newest} ${assessment.events} ${assessment.excluded}`,
      ),
      onFound,
      onPick,
      onDecided: () => this.decided("found", "notes", "stability"),
    });
    this.notes = new Notes({
      wanted: () => about(() => Math.floor(performance.now() / NOTES_MS)),
      onDecided: () => this.decided("notes", "found", "stability"),
    });
    const ofRange = () => {
      const what = assessed(({ assessment }) => assessment.made);
      return what && { ...what, from: view.from, to: view.to };
    };
    this.spectrum = new SpectrumPanel({ wanted: ofRange });
    this.stability = new StabilityPanel({
      wanted: ofRange,
      now,
      onShow,
      onDecided: () => this.decided("stability", "found", "notes"),
    });
    this.histogram = new HistogramPanel({
      wanted: () => {
        const what = about(({ n, assessment }) => `${n} ${assessment?.excluded}`);
        return what && { ...what, region: view.region, unit: view.unit, ...scopeOf(view) };
      },
    });
    new ModulesPanel({ wanted: () => about(({ n }) => n) });
    new Compare({ choice, current: () => choice.current });
  }

  // Somebody decided which frames count: what rests on them is asked for at once.
  decided(by, ...others) {
    this.latest = this[by];
    for (const name of [...others, "spectrum", "histogram"]) this[name].panel.hurry();
  }

  // Takes the last decision back. Resolves to what is to be told.
  async undo() {
    await this.found.deciding; // one on its way is the last
    const panel = [this.latest, this.found, this.stability].find((one) => one?.undone);
    return panel ? panel.undo() : "There is nothing to undo";
  }

  redraw() {
    this.spectrum.redraw();
    this.histogram.redraw();
    this.stability.redraw();
  }
}

// The frames of the statistics, as the API is asked for them; those shown where no
// others were chosen.
function scopeOf(view) {
  if (view.scope === "frames") return { last: Math.max(1, Math.floor(view.window)) };
  if (view.scope === "seconds") return { seconds: view.window };
  return { from: view.from, to: view.to };
}
