// How many ticks a second this browser can draw: fewer where drawing takes long.

const FULL_HZ = 4;
const SLOW_HZ = 2;
const SLOW_MS = 100; // two draws in a row above: fewer
const QUICK_MS = 70; // clearly below, or the rate would go to and fro ...
const QUICK_DRAWS = 10; // ... for so many draws and none above SLOW_MS: back

export class Pace {
  constructor() {
    this.hz = FULL_HZ;
    this.slow = 0;
    this.quick = 0;
  }

  // Takes the time of a draw; true: the rate has changed.
  drawn(ms) {
    this.slow = ms > SLOW_MS ? this.slow + 1 : 0;
    if (ms > SLOW_MS) this.quick = 0;
    else if (ms < QUICK_MS) this.quick += 1;
    const before = this.hz;
    if (this.slow >= 2) this.hz = SLOW_HZ;
    else if (this.quick >= QUICK_DRAWS) this.hz = FULL_HZ;
    return this.hz !== before;
  }
}
