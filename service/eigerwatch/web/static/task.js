// Ends the running task, so that none takes long. The next one comes before the screen
// is painted, where the browser knows priorities: painting between costs more than it
// shows. Not by setTimeout: repeated, it waits, and in a page behind others a second.

const waiting = [];
const channel = new MessageChannel();
channel.port1.onmessage = () => waiting.shift()();

export function nextTask() {
  if (globalThis.scheduler?.postTask) return scheduler.postTask(() => {}, { priority: "user-blocking" });
  return new Promise((done) => {
    waiting.push(done);
    channel.port2.postMessage(null);
  });
}

const unpainted = new Set();
document.addEventListener("visibilitychange", () => {
  if (document.hidden) unpainted.forEach((done) => done());
});

// What was drawn is about to be on the screen, or nobody can see it.
export function painted() {
  return new Promise((resolve) => {
    if (document.hidden) return resolve();
    const done = () => {
      unpainted.delete(done);
      resolve();
    };
    unpainted.add(done);
    requestAnimationFrame(done);
  });
}
