// The main plot as one image.

import { colour } from "./figures.js";

const WIDTH = 1600; // [px]
const FAINT = 0.1;

// figures: elements, from top to bottom; word: written across each panel, or empty.
export async function saveImage(figures, word, name) {
  const scale = WIDTH / figures[0].clientWidth;
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = Math.round(scale * figures.reduce((sum, figure) => sum + figure.clientHeight, 0));
  const pen = canvas.getContext("2d");
  pen.fillStyle = colour("--panel");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  let top = 0;
  for (const figure of figures) {
    const { clientWidth: width, clientHeight: height } = figure;
    const image = new Image();
    image.src = await Plotly.toImage(figure, { format: "png", width, height, scale });
    await image.decode();
    pen.drawImage(image, 0, top, WIDTH, scale * height);
    if (word && height > width / 20) write(pen, word, WIDTH / 2, top + (scale * height) / 2);
    top += scale * height;
  }
  const link = document.createElement("a");
  link.download = `${name}.png`;
  link.href = canvas.toDataURL("image/png");
  link.click();
}

function write(pen, word, x, y) {
  pen.save();
  Object.assign(pen, { globalAlpha: FAINT, fillStyle: colour("--text"), textAlign: "center", textBaseline: "middle" });
  pen.font = `${Math.round(WIDTH / 14)}px system-ui, sans-serif`;
  pen.fillText(word, x, y);
  pen.restore();
}
