// Does one thing after the other; wishes made while one waits for its turn are one.

export class Queue {
  // work() -> promise.
  constructor(work) {
    this.work = work;
    this.last = Promise.resolve();
    this.waiting = null;
  }

  // Settles as the work does.
  ask() {
    this.waiting ??= this.last.then(() => {
      this.waiting = null;
      return this.work();
    });
    this.last = this.waiting.catch(() => {});
    return this.waiting;
  }
}
