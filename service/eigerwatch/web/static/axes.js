// Ranges and labels of the plot's axes.

import { integer } from "./format.js";

const SIGMAS = 6; // half of the robust range
const SIGMAS_PER_IQR = 1.349;
const FEW = 7; // points; of fewer the quartiles say nothing
export const FEW_FRAMES = 300; // so many are drawn as points, too

// Smallest of 1, 2, 5 x 10^k that is not below x.
export function niceStep(x) {
  const power = 10 ** Math.floor(Math.log10(x));
  return power * [1, 2, 5, 10].find((m) => m * power >= x * (1 - 1e-9));
}

// Median ± 6 robust sigma, rounded outwards so that it rarely changes; all values where
// nothing is known of them.
export function robustRange([q25, median, q75], values) {
  const sigma = (q75 - q25) / SIGMAS_PER_IQR;
  if (values.length <= FEW || !(sigma > 0)) return fullRange(values);
  const step = niceStep(sigma);
  return [
    Math.floor((median - SIGMAS * sigma) / step) * step,
    Math.ceil((median + SIGMAS * sigma) / step) * step,
  ];
}

export function fullRange(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high >= low)) return [0, 2];
  const air = 0.05 * (high - low) || 1e-3 * Math.abs(high) || 1;
  return [low - air, high + air];
}

// What a line does not show: frames between two breaks of it, and those off the scale.
// blocks: of a tick; range: of the axis.
export function marks(blocks, block, [low, high]) {
  const alone = { x: [], y: [] };
  const outside = { x: [], y: [], values: [], symbol: [] };
  const edge = 0.02 * (high - low);
  const { frame, alone: single, [block]: values } = blocks;
  for (let i = 0; i < frame.length; i += 1) {
    const value = values[i];
    if (value < low || value > high) {
      outside.x.push(frame[i]);
      outside.y.push(value < low ? low + edge : high - edge);
      outside.symbol.push(value < low ? "triangle-down" : "triangle-up");
      outside.values.push(value);
    } else if (single[i]) {
      alone.x.push(frame[i]);
      alone.y.push(value);
    }
  }
  return { alone, outside };
}

// Right end of the x axis while frames come: it steps instead of creeping.
export function steppedEnd(n, announced) {
  const step = 2 ** Math.max(4, Math.ceil(Math.log2(Math.max(1, n))) - 4);
  const end = (Math.floor(n / step) + 1) * step;
  return announced && n <= announced ? Math.min(end, announced) : end;
}

// Ticks, at most so many, with the frame number and, below it, the time.
export function frameTicks([from, to], most, frameTime) {
  const step = Math.max(1, niceStep((to - from) / Math.max(2, most)));
  const values = [];
  for (let x = Math.ceil(from / step) * step; x <= to; x += step) values.push(x);
  const texts = values.map((x) => {
    const frame = integer(x);
    return frameTime ? `${frame}<br>${seconds(x * frameTime, step * frameTime)}` : frame;
  });
  return { tickmode: "array", tickvals: values, ticktext: texts };
}

// Ticks at round times, of an axis whose positions are frames.
export function timeTicks([from, to], most, frameTime) {
  const step = niceStep(((to - from) * frameTime) / Math.max(2, most));
  const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step) + 1e-9)));
  const values = [];
  const texts = [];
  for (let k = Math.ceil((from * frameTime) / step); k * step <= to * frameTime; k += 1) {
    values.push((k * step) / frameTime);
    texts.push((k * step).toFixed(digits).replace("-", "\u2212"));
  }
  return { tickmode: "array", tickvals: values, ticktext: texts };
}

// As many decimals as the range needs; of large values with a prefix: 1.2345G.
export function valueFormat([low, high]) {
  const place = Math.floor(Math.log10((high - low) || 1));
  const largest = Math.max(Math.abs(low), Math.abs(high));
  if (largest >= 1e8) return `.${Math.max(3, Math.floor(Math.log10(largest)) - place + 2)}s`;
  return `,.${Math.max(0, Math.min(8, 1 - place))}f`;
}

function seconds(value, step) {
  const digits = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(step) + 1e-9)));
  return `${value.toFixed(digits)} s`;
}
