// The server's clock, as told by its messages: of the last minute's, the one that came
// with the least delay counts. Independent of this computer's own clock.

import { Sleep } from "./sleep.js";

const KEPT_MS = 60000;

export class ServerClock {
  // elapsed() -> ms of a clock that never jumps.
  constructor(elapsed = () => performance.now(), sleep = new Sleep()) {
    Object.assign(this, { elapsed, sleep });
    this.heard = [];
    this.ahead = Date.now() - elapsed(); // until the server has said anything
  }

  // serverMs: its time when it sent the message that has just come.
  hear(serverMs) {
    if (this.sleep.missed() > 0) this.heard = [];
    const at = this.elapsed();
    this.heard = this.heard.filter((one) => at - one.at < KEPT_MS);
    this.heard.push({ at, ahead: serverMs - at });
    this.ahead = Math.max(...this.heard.map((one) => one.ahead));
  }

  now() {
    const asleep = this.sleep.missed();
    if (asleep > 0) this.heard = []; // of before
    this.ahead += asleep;
    return this.elapsed() + this.ahead;
  }
}

// The page's.
export const serverClock = new ServerClock();
