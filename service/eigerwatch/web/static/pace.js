// How many ticks a second this browser can draw: fewer where drawing takes long.

const FULL_HZ = 4;
const SLOW_HZ = 2;
const SLOW_MS = 100; // the median above: fewer
const QUICK_MS = 80; // clearly below, or the rate would go to and fro: back
const JUDGED = 9; // draws: one slow one says nothing

export class Pace {
  constructor() {
    this.hz = FULL_HZ;
    this.draws = [];
  }

  // Takes the time of a draw; true: the rate has changed.
  drawn(ms) {
    this.draws.push(ms);
    if (this.draws.length < JUDGED) return false;
    const median = [...this.draws].sort((a, b) => a - b)[(JUDGED - 1) / 2];
    this.draws.shift();
    const before = this.hz;
    if (median > SLOW_MS) this.hz = SLOW_HZ;
    else if (median < QUICK_MS) this.hz = FULL_HZ;
    if (this.hz === before) return false;
    this.draws = [];
    return true;
  }
}
