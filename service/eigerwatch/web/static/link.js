// A link to what is shown: it means the same series and frames for ever.

import { writeView } from "./url.js";

// header: of the tick shown, with the frames wanted, or null.
export function linkOf(view, header) {
  const pinned = { ...view };
  if (header?.n) Object.assign(pinned, { series: header.series, from: header.from, to: header.to });
  return `${location.origin}${location.pathname}${writeView(pinned)}`;
}

// Whether the text is in the clipboard now.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // without https there is no clipboard to write to
  }
}

function copyBySelection(text) {
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.className = "unseen";
  field.value = text;
  document.body.append(field);
  field.select();
  let copied = false;
  try {
    copied = document.execCommand("copy");
  } catch { /* then it is not */ }
  field.remove();
  before?.focus();
  return copied;
}
