// How long this computer was asleep: some stop the clock that otherwise never jumps.

const JUMP_MS = 2000; // the wall clock may be set by less

export class Sleep {
  // elapsed(), wall() -> ms.
  constructor(elapsed = () => performance.now(), wall = () => Date.now()) {
    Object.assign(this, { elapsed, wall });
    this.ahead = wall() - elapsed();
  }

  // Time that passed without being counted since the last question [ms]. A wall clock
  // that is set looks the same.
  missed() {
    const ahead = this.wall() - this.elapsed();
    const missed = ahead - this.ahead;
    this.ahead = ahead;
    return missed > JUMP_MS ? missed : 0;
  }
}
