// The first and the last frame shown, as numbers that can be typed.

import { integer } from "./format.js";
import { say } from "./toast.js";

const $ = (id) => document.getElementById(id);

export class RangeFields {
  constructor(ranges) {
    this.ranges = ranges;
    this.edited = false;
    this.group = $("frames-shown");
    this.first = $("frame-from");
    this.last = $("frame-to");
    this.group.addEventListener("input", () => {
      this.edited = true;
    });
    // On the way from one field to the other only half of it is typed.
    this.group.addEventListener("change", ({ target }) => setTimeout(() => {
      if (!this.focused || document.activeElement === target) this.apply();
    }));
    this.group.addEventListener("focusout", ({ relatedTarget }) => {
      if (!this.group.contains(relatedTarget)) this.leave();
    });
    this.group.addEventListener("keydown", (press) => {
      if (press.key === "Escape") this.edited = false;
      if (press.key === "Escape" || (press.key === "Enter" && this.apply())) press.target.blur();
    });
  }

  get focused() {
    return this.group.contains(document.activeElement);
  }

  leave() {
    this.apply();
    this.edited = false;
    this.fill();
  }

  // The range as it is, unless somebody types.
  show() {
    if (!this.focused) this.fill();
  }

  fill() {
    const { whole, wanted, view } = this.ranges;
    const known = !whole && wanted.to > 0;
    fill(this.first, known ? wanted.from : "");
    fill(this.last, known && view.to !== null ? wanted.to - 1 : "");
  }

  // Whether there is nothing left to correct.
  apply() {
    if (!this.edited) return true;
    const first = numberIn(this.first);
    const last = numberIn(this.last);
    const problem = problemOf(first, last, this.ranges.length());
    if (problem) {
      say(problem);
      return false;
    }
    this.edited = false;
    // From the first frame on is the whole series, which may grow.
    if (last === null) this.ranges.show(first || null, null);
    else this.ranges.show(first ?? 0, last + 1);
    return true;
  }
}

function fill(field, value) {
  if (field.value !== String(value)) field.value = value;
}

// null: empty; NaN: no number.
function numberIn(field) {
  if (field.value === "") return field.validity.badInput ? Number.NaN : null;
  return Number(field.value);
}

// A sentence; empty: they can be shown.
function problemOf(first, last, n) {
  const typed = [first, last].filter((frame) => frame !== null);
  if (!typed.every((frame) => Number.isInteger(frame) && frame >= 0)) return "Frames have whole numbers from 0 on";
  if (typed.length === 2 && last < first) return `Frame ${integer(last)} comes before frame ${integer(first)}`;
  if (!n) return "There are no frames yet";
  const beyond = typed.find((frame) => frame >= n);
  return beyond === undefined ? "" : `There is no frame ${integer(beyond)}: the newest is ${integer(n - 1)}`;
}
