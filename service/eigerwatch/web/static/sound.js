// A tone while something wants to be seen. Browsers play it only after a click.

import { remember, remembered } from "./memory.js";

const REPEAT_MS = 4000;
const WAIT_MS = 1500; // a browser that has not begun to play by then refuses
const TONES_HZ = [880, 660];
const TONE_S = 0.18;
const VOLUME = 0.25;
const KEY = "alarm-sound";
const GESTURES = ["click", "keydown"]; // by which a browser lets a page play ...
const NO_GESTURES = ["Escape", "Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock"]; // ... and not

export class Sound {
  // onChange(): the state is another one now.
  constructor({ onChange }) {
    this.onChange = onChange;
    this.context = null;
    this.wanted = false;
    this.playedAt = -Infinity;
    this.state = "off"; // off, on, refused, unsupported, before
    if (!globalThis.AudioContext) this.state = "unsupported";
    else if (remembered(KEY) === "on") {
      this.state = "before";
      this.listen();
    }
    setInterval(() => this.look(), 500);
  }

  // Whoever turned it on wants it again with the next click or key on the page.
  listen() {
    for (const kind of GESTURES) addEventListener(kind, this, true);
  }

  handleEvent({ target, key }) {
    if (NO_GESTURES.includes(key)) return;
    if (target instanceof Element && target.closest("#sound")) return; // it does so itself
    this.begin();
  }

  // Only in answer to a click or key: else the browser refuses.
  async begin() {
    try {
      this.context ??= new AudioContext();
      await Promise.race([this.context.resume(), new Promise((done) => setTimeout(done, WAIT_MS))]);
    } catch { /* its state tells */ }
    if (this.context?.state !== "running" || this.state === "off" || this.state === "on") return;
    for (const kind of GESTURES) removeEventListener(kind, this, true);
    this.turn("on");
    this.play();
  }

  async toggle() {
    if (this.state === "unsupported") return;
    if (this.state === "on") {
      remember(KEY, "off");
      this.turn("off");
      await this.context.suspend().catch(() => {});
      return;
    }
    remember(KEY, "on");
    if (this.state === "off") this.turn("before");
    await this.begin();
    if (this.state === "before") {
      this.turn("refused");
      this.listen();
    }
  }

  turn(state) {
    this.state = state;
    this.onChange();
  }

  // wanted: something is wrong and nobody has seen it yet; repeats until that is over.
  want(wanted) {
    if (wanted && !this.wanted) this.playedAt = -Infinity;
    this.wanted = wanted;
    this.look();
  }

  look() {
    if (this.state !== "on") return;
    if (this.context.state !== "running") { // the system took it away
      this.turn("refused");
      this.listen();
    } else if (this.wanted && performance.now() - this.playedAt >= REPEAT_MS) {
      this.play();
    }
  }

  play() {
    this.playedAt = performance.now();
    const { context } = this;
    TONES_HZ.forEach((frequency, index) => {
      const start = context.currentTime + index * TONE_S;
      const end = start + TONE_S;
      const tone = context.createOscillator();
      const volume = context.createGain();
      tone.frequency.value = frequency;
      // Rising and falling within 20 ms: a tone cut off clicks.
      volume.gain.setValueAtTime(0, start);
      volume.gain.linearRampToValueAtTime(VOLUME, start + 0.02);
      volume.gain.setValueAtTime(VOLUME, end - 0.02);
      volume.gain.linearRampToValueAtTime(0, end);
      tone.connect(volume).connect(context.destination);
      tone.start(start);
      tone.stop(end);
    });
  }
}

export const SOUND_WORDS = {
  off: "Off.",
  on: "On: a tone repeats until the alarm is acknowledged or over.",
  refused: "The browser refuses to play sound: allow it for this page, then press again.",
  unsupported: "This browser cannot play sound.",
  before: "Off since the page was loaded anew: on again with the first click or key.",
};
