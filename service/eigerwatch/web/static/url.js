// The view in the page's address: what each parameter may say, reading and writing it.

export const SCOPES = ["whole", "range", "frames", "seconds"];
export const WINDOWED = ["frames", "seconds"]; // scopes with a length
const MOST = 2 ** 40; // what the server takes
const LONGEST_NAME = 256;

export const DEFAULTS = {
  series: "live",
  channel: null,
  region: null,
  from: null,
  to: null,
  y: "robust",
  half: 1, // of a fixed y axis [% of the mean]
  layout: "stacked",
  scope: "whole",
  window: 10000,
  axis: "frame",
  unit: "normalised",
  ref: null,
  theme: null, // as the browser has it
  wall: false,
};

const oneOf = (...words) => (text) => (words.includes(text) ? text : undefined);
const name = (text) => (text && text.length <= LONGEST_NAME ? text : undefined);
const key = (text) => (/^[a-z]+:./.test(text) ? name(text) : undefined);
const frame = (text) => (/^\d{1,12}$/.test(text) ? Number(text) : undefined);
const length = (text) => {
  const value = /^\d{1,12}(\.\d{1,9})?$/.test(text) ? Number(text) : 0;
  return value > 0 && value < MOST ? value : undefined;
};

// From a parameter's text to its value; undefined: unusable.
const READ = {
  series: (text) => (text === "live" ? text : key(text)),
  channel: name,
  region: name,
  from: frame,
  to: frame,
  y: oneOf("robust", "full", "fixed"),
  half: (text) => {
    const value = /^\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(text) : 0;
    return value >= 0.001 && value <= 100 ? value : undefined;
  },
  layout: oneOf("stacked", "overlaid"),
  scope: oneOf(...SCOPES),
  window: length,
  axis: oneOf("frame", "time"),
  unit: oneOf("normalised", "counts"),
  ref: key,
  theme: oneOf("dark", "light"),
  wall: (text) => ({ 1: true, 0: false })[text],
};

// { view, problems }: what cannot be used is left at its default, and told in a sentence.
export function readView(search) {
  const view = { ...DEFAULTS };
  const problems = [];
  for (const [parameter, text] of new URLSearchParams(search)) {
    const value = Object.hasOwn(READ, parameter) ? READ[parameter](text) : undefined;
    if (value === undefined) problems.push(`${parameter}=${text}`.slice(0, 80));
    else view[parameter] = value;
  }
  if (view.to !== null && view.to <= (view.from ?? 0)) {
    problems.push(`to=${view.to}`);
    view.to = null;
  }
  const text = `Not understood in the address, and left out: ${problems.join(", ")}.`;
  return { view, problems: problems.length ? [text] : [] };
}

// The address's part from "?" on; empty where everything is as by default.
export function writeView(view) {
  const query = new URLSearchParams();
  for (const [parameter, usual] of Object.entries(DEFAULTS)) {
    const value = view[parameter];
    if (value === usual || (parameter === "window" && !WINDOWED.includes(view.scope))) continue;
    query.set(parameter, value === true ? "1" : value);
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}
