// The curve alone, at once: plotly.js, which draws the rest, takes a second to start.

import { valueFormat } from "./axes.js";

const SVG = "http://www.w3.org/2000/svg";

// places: width, height and margins l, r, t, b of the plot, and size of its letters
// [px]; range and span: of values and frames; ticks: of the x axis, or null.
export function sketch(element, frames, values, { range: [low, high], span: [from, to], places, stroke, ticks }) {
  const { width, height, l, r, t, b, size } = places;
  const x = (frame) => l + ((frame - from) / (to - from)) * (width - l - r);
  const y = (value) => t + ((high - value) / (high - low)) * (height - t - b);
  const inside = (value) => Math.min(high, Math.max(low, value));
  const path = pathOf(frames, values, x, (value) => y(inside(value)));
  const svg = shape("svg", { width, height, class: "sketch", "aria-hidden": "true" });
  svg.append(shape("path", { d: path, fill: "none", stroke, "stroke-width": 1.2, "stroke-linecap": "round" }));
  const digits = Number.parseInt(valueFormat([low, high]).replace(/\D+/, ""), 10);
  for (const value of [low, high]) {
    svg.append(label(value.toPrecision(Math.max(2, digits + 1)), l - 6, y(value) + (value === high ? size : 0), "end", size));
  }
  ticks?.tickvals.forEach((frame, index) => {
    ticks.ticktext[index].split("<br>").forEach((text, line) => {
      svg.append(label(text, x(frame), height - b + size * (1.3 + 1.3 * line), "middle", size));
    });
  });
  element.replaceChildren(svg);
}

// The path of a curve with gaps; x(frame) and y(value) are places.
export function pathOf(frames, values, x, y) {
  let path = "";
  let pen = "M";
  frames.forEach((frame, index) => {
    const value = values[index];
    if (Number.isNaN(value)) {
      pen = "M";
      return;
    }
    path += `${pen}${x(frame).toFixed(1)} ${y(value).toFixed(1)}`;
    if (pen === "M") path += "h0"; // a dot where a frame stands alone
    pen = "L";
  });
  return path || "M0 0";
}

function label(text, x, y, anchor, size) {
  const element = shape("text", { x, y, "text-anchor": anchor, "font-size": size, fill: "currentColor" });
  element.textContent = text;
  return element;
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
