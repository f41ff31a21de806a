// What the parts of the main plot share: margins that line up, zooming by dragging.

import { Plot } from "./plot.js";
import { isWall } from "./wall.js";

export class MainPart extends Plot {
  // on: { onRange(from, to), onAll() }, in frames.
  constructor(box, on) {
    const figure = document.createElement("div");
    figure.className = "figure";
    box.replaceChildren(figure);
    super(figure);
    this.on = on;
    this.scene = null;
  }

  show(scene) {
    this.scene = scene;
    return this.redraw();
  }

  onFirst() {
    this.onZoom(this.on);
  }

  // On the wall as large as the page's.
  get size() {
    if (isWall()) return 1.15 * rootSize();
    return this.width > 1500 ? 15 : 12;
  }

  // Lines and signs grow with the letters on the wall.
  get thickness() {
    return isWall() ? Math.max(1, rootSize() / 16) : 1;
  }

  // Left and right; labels of counts are long.
  get sides() {
    return { l: this.size * (this.scene.header?.unit === "counts" ? 8 : 6.4), r: 14 };
  }
}

function rootSize() {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}
