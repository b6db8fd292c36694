/** Timers whose time passes only by `tick`. In Node 18, which Debian 12 has, Node's own mock clears the wrong timer. */
export class Clock {
  constructor() {
    Object.assign(this, { now: 0, last: 0, timers: new Map() });
    this.real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
    globalThis.setTimeout = (work, wait) => {
      this.last += 1;
      this.timers.set(this.last, { work, due: this.now + wait });
      return this.last;
    };
    globalThis.clearTimeout = (timer) => this.timers.delete(timer);
  }

  /** Let milliseconds pass; what is due in them runs in its order. */
  tick(milliseconds) {
    const end = this.now + milliseconds;
    for (;;) {
      const [next] = [...this.timers].sort(([, one], [, other]) => one.due - other.due);
      if (!next || next[1].due > end) break;
      const [timer, { work, due }] = next;
      this.timers.delete(timer);
      this.now = due;
      work();
    }
    this.now = end;
  }

  restore() {
    Object.assign(globalThis, this.real);
  }
}
