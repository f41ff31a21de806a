// Plotly takes some tags and entities in its texts for markup: none of them is meant.

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

export function literal(text) {
  return text.replace(/[&<>]/g, (letter) => ENTITIES[letter]);
}
