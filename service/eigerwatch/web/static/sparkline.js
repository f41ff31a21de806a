// A run's trace in a table's cell.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 30;
const drawn = new WeakMap(); // what each one shows

export function emptySparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  return svg;
}

// line: { frames, values } over the mean, or null.
export function drawSparkline(svg, line) {
  const values = line?.values.filter((value) => value !== null) ?? [];
  const seen = line ? `${line.frames.join()} ${line.values.join()}` : "";
  if (drawn.get(svg) === seen) return;
  drawn.set(svg, seen);
  svg.toggleAttribute("hidden", values.length === 0);
  if (!values.length) return svg.replaceChildren();
  const low = Math.min(...values);
  const high = Math.max(...values);
  const [first, last] = [line.frames[0], line.frames.at(-1)];
  const x = (frame) => (WIDTH * (frame - first)) / (last - first || 1);
  const y = (value) => HEIGHT - 1 - ((HEIGHT - 2) * (value - low)) / (high - low || 1);
  const pieces = [[]];
  line.values.forEach((value, index) => {
    if (value === null) pieces.push([]);
    else pieces.at(-1).push(`${x(line.frames[index]).toFixed(1)},${y(value).toFixed(1)}`);
  });
  svg.setAttribute("aria-label", `from ${low.toFixed(4)} to ${high.toFixed(4)} of the mean`);
  svg.replaceChildren(...pieces.filter((piece) => piece.length).map((piece) => {
    const polyline = document.createElementNS(SVG, "polyline");
    // A frame alone gets some length, else nothing of it is seen.
    polyline.setAttribute("points", (piece.length > 1 ? piece : [piece[0], `${Number(piece[0].split(",")[0]) + 0.8},${piece[0].split(",")[1]}`]).join(" "));
    return polyline;
  }));
}
