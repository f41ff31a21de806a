// A rectangle drawn with the mouse over a picture whose viewBox is in pixels.

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 2; // pixels in either direction; less was a click

// onDrawn([y0, y1, x0, x1]): whole pixels, the ends excluded.
export function drawByDragging(map, onDrawn) {
  let from = null;
  let band = null;

  function end() {
    band?.remove();
    from = band = null;
  }

  map.addEventListener("pointerdown", (press) => {
    if (press.button !== 0 || press.pointerType === "touch") return; // a finger scrolls
    press.preventDefault();
    map.setPointerCapture(press.pointerId);
    from = pixelOf(map, press);
    band = document.createElementNS(SVG, "rect");
    band.setAttribute("class", "shape band");
    map.append(band);
  });
  map.addEventListener("pointermove", (move) => {
    if (!from) return;
    const [y0, y1, x0, x1] = between(from, pixelOf(map, move));
    for (const [name, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) {
      band.setAttribute(name, value);
    }
  });
  map.addEventListener("pointerup", (release) => {
    if (!from) return;
    const rectangle = between(from, pixelOf(map, release));
    end();
    const [y0, y1, x0, x1] = rectangle;
    if (y1 - y0 >= LEAST && x1 - x0 >= LEAST) onDrawn(rectangle);
  });
  map.addEventListener("pointercancel", end);
}

// [y, x] under the pointer, within the picture.
function pixelOf(map, { clientX, clientY }) {
  const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(map.getScreenCTM().inverse());
  const { width, height } = map.viewBox.baseVal;
  return [within(y, height), within(x, width)];
}

function within(value, most) {
  return Math.round(Math.min(most, Math.max(0, value)));
}

function between([ya, xa], [yb, xb]) {
  return [Math.min(ya, yb), Math.max(ya, yb), Math.min(xa, xb), Math.max(xa, xb)];
}
