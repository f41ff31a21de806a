// The server's clock, as told by its messages: of the last minute's, the one that came
// with the least delay counts. Independent of this computer's own clock.

const KEPT_MS = 60000;

export class ServerClock {
  // elapsed() -> ms of a clock that never jumps.
  constructor(elapsed = () => performance.now()) {
    this.elapsed = elapsed;
    this.heard = [];
    this.ahead = Date.now() - elapsed(); // until the server has said anything
  }

  // serverMs: its time when it sent the message that has just come.
  hear(serverMs) {
    const at = this.elapsed();
    this.heard = this.heard.filter((one) => at - one.at < KEPT_MS);
    this.heard.push({ at, ahead: serverMs - at });
    this.ahead = Math.max(...this.heard.map((one) => one.ahead));
  }

  now() {
    return this.elapsed() + this.ahead;
  }
}
