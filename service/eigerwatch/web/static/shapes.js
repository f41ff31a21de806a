// Regions as rows of a form, and drawn over a picture.

import { set } from "./figures.js";

export const FIELDS = {
  rectangle: ["y0", "y1", "x0", "x1"],
  disc: ["y", "x", "radius"],
  annulus: ["y", "x", "inner", "outer"],
  polygon: ["corners"],
};
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

// A row of the form for one region; changed() whenever somebody edits it.
export function regionRow(region, changed) {
  const row = $("settings-roi").content.firstElementChild.cloneNode(true);
  const name = row.querySelector(".name");
  const shape = row.querySelector(".shape");
  name.value = region.name;
  shape.value = Object.keys(FIELDS).find((kind) => region[kind]) ?? "rectangle";
  fields(row, shape.value, region[shape.value] ?? []);
  label(row);
  name.addEventListener("input", () => label(row));
  shape.addEventListener("change", () => {
    fields(row, shape.value, []);
    changed();
  });
  row.addEventListener("input", changed);
  row.querySelector(".remove").addEventListener("click", () => {
    row.remove();
    $("settings-add").focus();
    changed();
  });
  return row;
}

function label(row) {
  const name = row.querySelector(".name").value;
  row.querySelector(".remove").setAttribute("aria-label", `Remove region ${name}`);
}

function fields(row, kind, values) {
  row.querySelector(".numbers").replaceChildren(...FIELDS[kind].map((name, index) => {
    const element = document.createElement("label");
    const input = document.createElement("input");
    input.type = "text";
    input.dataset.field = name;
    input.maxLength = kind === "polygon" ? 40000 : 20;
    if (kind === "polygon") {
      input.className = "wide";
      input.placeholder = "y x, y x, y x";
      input.value = values.map((corner) => corner.join(" ")).join(", ");
    } else {
      input.inputMode = "decimal";
      input.value = values[index] ?? "";
    }
    element.append(kind === "polygon" ? "Corners, y x each " : `${name} `, input);
    return element;
  }));
}

// A number as typed, or the text itself, for the server to say what is wrong with it.
export function typed(text) {
  const trimmed = text.trim();
  return trimmed !== "" && Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed;
}

export function regionOf(row) {
  const kind = row.querySelector(".shape").value;
  const texts = [...row.querySelectorAll("[data-field]")].map((input) => input.value);
  const values = kind === "polygon"
    ? texts[0].split(/[,;]/).filter((text) => text.trim()).map((corner) => corner.trim().split(/\s+/).map(typed))
    : texts.map(typed);
  return { name: row.querySelector(".name").value.trim(), [kind]: values };
}

// Draw regions over a picture that covers so many (y, x) pixels.
export function drawRegions(map, picture, source, regions) {
  const [height, width] = picture;
  let image = map.querySelector("image");
  if (!image) {
    image = make("image", { preserveAspectRatio: "none" });
    map.append(image);
  }
  write(image, { width, height });
  if (image.getAttribute("href") !== source) image.setAttribute("href", source);
  drawOutlines(map, picture, regions);
}

// Draw regions alone, in an image of so many (y, x) pixels.
export function drawOutlines(map, [height, width], regions) {
  map.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const group of map.querySelectorAll("g")) group.remove();
  const size = Math.max(width, height) / 40;
  for (const region of regions) {
    const drawn = shapesOf(region);
    if (!drawn) continue;
    const group = make("g", {});
    const title = make("title", {});
    const word = make("text", { ...drawn.at, "font-size": size });
    set(title, region.name);
    set(word, region.name);
    for (const shape of drawn.shapes) shape.setAttribute("class", "shape");
    group.append(title, ...drawn.shapes, word);
    map.append(group);
  }
}

// A region as the service describes it, in the form's terms; null: another kind.
export function formOf({ name, shape }) {
  const { kind, y, x, center, radius, aspect = 1, corners } = shape;
  const form = {
    rectangle: () => [...y, ...x], disc: () => [...center, radius],
    annulus: () => [...center, ...radius], polygon: () => corners,
  }[kind];
  return form ? { name, aspect, [kind]: form() } : null;
}

// aspect: columns that a row counts in distances.
function shapesOf({ rectangle, disc, annulus, polygon, aspect = 1 }) {
  const numbers = (rectangle ?? disc ?? annulus ?? polygon).flat();
  if (!numbers.every((value) => typeof value === "number")) return null;
  if (rectangle) {
    const [y0, y1, x0, x1] = rectangle;
    if (y1 <= y0 || x1 <= x0) return null;
    return { at: { x: x0, y: y0 }, shapes: [make("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 })] };
  }
  if (polygon) {
    if (polygon.length < 3 || !polygon.every((corner) => corner.length === 2)) return null;
    const [y, x] = polygon[0];
    return { at: { x, y }, shapes: [make("polygon", { points: polygon.map(([py, px]) => `${px},${py}`).join(" ") })] };
  }
  const [y, x, ...radii] = disc ?? annulus;
  if (radii.some((radius) => radius < 0)) return null;
  return { at: { x, y: y - radii.at(-1) / aspect }, shapes: radii.map((radius) => make("ellipse", { cx: x, cy: y, rx: radius, ry: radius / aspect })) };
}

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  write(element, attributes);
  return element;
}

function write(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}
