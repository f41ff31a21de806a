// Short messages that come and go, read aloud when there is time.

import { set } from "./figures.js";

const SHOWN_MS = 6000;
let timer = null;

export function say(text) {
  clearTimeout(timer);
  set("said", text);
  timer = setTimeout(() => set("said", ""), SHOWN_MS);
}
