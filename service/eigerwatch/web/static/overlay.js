// Several runs in one plot: traces, spectra, and the ratio of two spectra.

import { fullRange, robustRange } from "./axes.js";
import { colour } from "./figures.js";
import { literal } from "./literal.js";
import { Plot } from "./plot.js";

const COLOURS = ["--raw", "--det", "--missing", "--good"];
const DASHES = ["solid", "dash", "dot", "dashdot"];

// A plot whose figure is made anew when its size or the theme changes.
export class MadePlot extends Plot {
  // make(axis) -> { traces, layout }.
  draw(make) {
    this.make = make;
    return this.redraw();
  }

  figure() {
    return this.make?.((title, more) => this.axis(title, more)) ?? null;
  }
}

// Powers of ten where there are some, else 1, 2, 5 between them.
function decades(...lists) {
  const values = lists.flat().filter((value) => value > 0);
  return values.length && Math.max(...values) / Math.min(...values) > 30 ? 1 : "D2";
}

// ticks: decoded; names: A, B, ...; by: "frame" or "time".
export function traces(axis, ticks, names, by) {
  const ranges = ticks.map(({ header, blocks }) => {
    const quartiles = header.quartiles.raw;
    return quartiles[0] !== null && blocks.raw.length > 7 ? robustRange(quartiles, blocks.raw) : fullRange(blocks.raw);
  });
  const timed = by === "time";
  return {
    traces: ticks.map(({ header, blocks }, index) => ({
      type: "scatter", mode: "lines", name: literal(names[index]), y: blocks.raw,
      x: timed ? Array.from(blocks.frame, (frame) => frame * header.frame_time_s) : blocks.frame,
      line: { color: colour(COLOURS[index]), width: 1 }, opacity: 0.75,
      hovertemplate: `${timed ? "%{x:.4f} s" : "frame %{x:,d}"}<br>%{y:.5f}<extra>%{fullData.name}</extra>`,
    })),
    layout: {
      xaxis: axis(timed ? "time since the run began (s)" : "frame", timed ? {} : { tickformat: ",d" }),
      yaxis: axis("over the mean", {
        range: [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))],
        tickformat: ".4~f",
      }),
    },
  };
}

// told: answers about spectra.
export function spectra(axis, told, names) {
  const unit = told[0]?.spectrum.unit === "per frame" ? "per frame" : "Hz";
  return {
    traces: told.map(({ spectrum }, index) => ({
      type: "scatter", mode: "lines", name: literal(names[index]),
      x: spectrum.frequencies_hz.slice(1), y: spectrum.density.slice(1),
      line: { color: colour(COLOURS[index]), width: 1.3, dash: DASHES[index] },
      hovertemplate: `%{x:.4~g} ${unit}<br>%{y:.3~g}<extra>%{fullData.name}</extra>`,
    })),
    layout: {
      xaxis: axis(`frequency (${unit})`, { type: "log", dtick: 1, tickformat: "~g" }),
      yaxis: axis(unit === "Hz" ? "density (1/Hz)" : "density (frames)", {
        type: "log", tickformat: ".0e", dtick: decades(...told.map(({ spectrum }) => spectrum.density.slice(1))),
      }),
    },
  };
}

// found: the comparison's ratio of spectra.
export function ratio(axis, found) {
  const x = found.frequencies_hz;
  const known = x.map((_, index) => index).filter((index) => x[index] > 0
    && [found.low, found.high, found.ratio].every((values) => values[index] > 0));
  const at = (values) => known.map((index) => values[index]);
  const base = { type: "scatter", mode: "lines", x: at(x) };
  const unit = found.unit === "per frame" ? "per frame" : "Hz";
  return {
    traces: [
      { ...base, name: "low", y: at(found.low), line: { width: 0, color: colour("--shade") }, hoverinfo: "skip" },
      { ...base, name: "high", y: at(found.high), line: { width: 0, color: colour("--shade") }, fill: "tonexty", fillcolor: colour("--shade"), hoverinfo: "skip" },
      {
        ...base, name: "ratio", y: at(found.ratio), line: { color: colour("--text"), width: 1.4 },
        customdata: known.map((index) => [found.low[index], found.high[index]]),
        hovertemplate: `%{x:.4~g} ${unit}<br>%{y:.3~g} (%{customdata[0]:.3~g} to %{customdata[1]:.3~g})<extra></extra>`,
      },
    ],
    layout: {
      xaxis: axis(`frequency (${unit})`, { type: "log", dtick: 1, tickformat: "~g" }),
      yaxis: axis("B over A", { type: "log", tickformat: "~g", dtick: decades(at(found.low), at(found.high)) }),
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: { color: colour("--soft"), width: 1, dash: "dash" } }],
    },
  };
}
