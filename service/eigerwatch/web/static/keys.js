// Keys of a page: not where somebody types, and held down not more often than is useful.

const REPEAT_MS = 150; // of a key held down: each range is asked of the server

export class Keys {
  // keys: { key: act(noted) }, noted: not for one that is held down; once: those that,
  // held down, are one; when(key): whether it means anything now.
  constructor(keys, { once = [], when = () => true } = {}) {
    Object.assign(this, { keys, once, when });
    this.pressedAt = 0;
    document.addEventListener("keydown", (press) => this.pressed(press));
  }

  pressed(press) {
    const key = press.key?.toLowerCase() ?? ""; // a browser that fills in a field tells none
    if (modified(press, key) || document.querySelector("dialog[open]")) return;
    if (press.target.closest("input, select, textarea") || press.target.isContentEditable) return;
    if (key === " " && press.target.closest("button, a, summary")) return;
    if (key.startsWith("arrow") && press.target.closest(".scroll")) return; // it moves itself
    if (!Object.hasOwn(this.keys, key) || !this.when(key)) return;
    press.preventDefault();
    if (press.repeat && (this.once.includes(key) || press.timeStamp - this.pressedAt < REPEAT_MS)) return;
    this.pressedAt = press.timeStamp;
    this.keys[key](!press.repeat);
  }
}

// Shift alone makes signs, and capitals only with a letter. Ctrl+Z means Z, as elsewhere.
function modified(press, key) {
  if (press.metaKey || press.altKey || (press.ctrlKey && key !== "z")) return true;
  return press.shiftKey && /^[a-z]/.test(key);
}
