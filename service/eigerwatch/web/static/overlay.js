// Several runs in one plot: traces, spectra, and the ratio of two spectra.

import { FEW_FRAMES, marks, robustRange } from "./axes.js";
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

  // Until it is drawn again there is nothing.
  clear() {
    this.make = null;
    if (!this.drawn) return;
    this.drawn = false;
    Plotly.purge(this.element);
    this.element.replaceChildren();
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

// ticks: decoded; names: A, B, ...; scene: { timed, span }, span in units of the axis.
export function traces(axis, ticks, names, { timed, span }) {
  const ranges = ticks.filter(({ blocks }) => blocks.raw.length)
    .map(({ header, blocks }) => robustRange(header.quartiles.raw, blocks.raw));
  const range = ranges.length
    ? [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))] : [0, 2];
  const curves = ticks.map(({ header, blocks }, index) => {
    const name = literal(names[index]);
    const stroke = colour(COLOURS[index]);
    const along = (frames) => (timed ? Array.from(frames, (frame) => frame * header.frame_time_s) : frames);
    const at = timed ? "%{x:.4f} s" : "frame %{x:,d}";
    const base = { type: "scatter", name, hovertemplate: `${at}<br>%{y:.5f}<extra>%{fullData.name}</extra>` };
    const { alone, outside } = marks(blocks, "raw", range);
    const few = blocks.raw.length <= FEW_FRAMES;
    return {
      line: {
        ...base, mode: few ? "lines+markers" : "lines", x: along(blocks.frame), y: blocks.raw,
        line: { color: stroke, width: 1 }, marker: { color: stroke, size: 4 }, opacity: 0.75,
      },
      alone: { ...base, mode: "markers", x: along(alone.x), y: alone.y, marker: { color: stroke, size: 4 } },
      outside: {
        ...base, mode: "markers", x: along(outside.x), y: outside.y,
        text: outside.values.map((value) => `${value.toFixed(5)}, off scale`),
        hovertemplate: `${at}<br>%{text}<extra>%{fullData.name}</extra>`,
        marker: { color: stroke, size: 9, symbol: outside.symbol },
      },
    };
  });
  return {
    traces: ["line", "alone", "outside"].flatMap((part) => curves.map((curve) => curve[part])),
    layout: {
      dragmode: "zoom",
      xaxis: axis(timed ? "time since the run began (s)" : "frame", {
        fixedrange: false, range: span, ...(timed ? {} : { tickformat: ",d" }),
      }),
      yaxis: axis("over the mean", { range, tickformat: ".4~f" }),
    },
  };
}

// told: answers about spectra.
export function spectra(axis, told, names) {
  const unit = unitOf(told[0].spectrum);
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

// found: { index, letter, found }, the ratios of spectra of these runs to that of A.
export function ratios(axis, found) {
  const alone = found.length === 1;
  const drawn = found.map((one) => ratio(one, alone));
  const unit = unitOf(found[0].found);
  return {
    traces: drawn.flatMap((one) => one.traces),
    layout: {
      xaxis: axis(`frequency (${unit})`, { type: "log", dtick: 1, tickformat: "~g" }),
      yaxis: axis(alone ? `${found[0].letter} over A` : "over A", {
        type: "log", tickformat: "~g", dtick: decades(...drawn.flatMap((one) => one.limits)),
      }),
      shapes: [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: 1, y1: 1, line: { color: colour("--soft"), width: 1, dash: "dash" } }],
    },
  };
}

// Of one run: the curve over its interval. alone: there is no other to tell it from.
function ratio({ index, letter, found }, alone) {
  const x = found.frequencies_hz;
  const known = x.map((_, at) => at).filter((at) => x[at] > 0
    && [found.low, found.high, found.ratio].every((values) => values[at] > 0));
  const at = (values) => known.map((place) => values[place]);
  const base = { type: "scatter", mode: "lines", x: at(x) };
  const shade = alone ? colour("--shade") : faint(colour(COLOURS[index]));
  const band = { ...base, line: { width: 0, color: shade }, hoverinfo: "skip" };
  const of = alone ? "" : ` ${letter}`;
  return {
    limits: [at(found.low), at(found.high)],
    traces: [
      { ...band, name: `low${of}`, y: at(found.low) },
      { ...band, name: `high${of}`, y: at(found.high), fill: "tonexty", fillcolor: shade },
      {
        ...base, name: `ratio${of}`, y: at(found.ratio),
        line: { color: colour(alone ? "--text" : COLOURS[index]), width: 1.4, dash: alone ? "solid" : DASHES[index] },
        customdata: known.map((place) => [found.low[place], found.high[place]]),
        hovertemplate: `${alone ? "" : `${letter}, `}%{x:.4~g} ${unitOf(found)}<br>%{y:.3~g} (%{customdata[0]:.3~g} to %{customdata[1]:.3~g})<extra></extra>`,
      },
    ],
  };
}

// Of a colour as #rrggbb: what lies below shows through.
function faint(hex) {
  return `${hex}38`;
}

function unitOf(found) {
  return found.unit === "per frame" ? "per frame" : "Hz";
}
