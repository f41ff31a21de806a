// A server that was updated while this page stayed open: its scripts are older than what
// answers them. A wall reloads itself when no series is being taken; others are told.

const RECEIVING = ["collecting", "settling"];
const RELOADED = "eigerwatch-reloaded";

export class Update {
  // own: address of a script of this page; reload() loads the page anew.
  constructor({ own = import.meta.url, reload = () => location.reload() } = {}) {
    Object.assign(this, { own, reload });
    this.wanted = null;
  }

  // files: folder of the scripts that the server has now.
  hear(files) {
    this.wanted = files && !this.own.includes(`${files}/`) ? files : null;
  }

  get text() {
    return this.wanted ? "the service was updated: reload this page" : "";
  }

  // Once for each version: something between may keep the old page.
  reloadWall(source) {
    if (!this.wanted || RECEIVING.includes(source)) return;
    try {
      if (sessionStorage.getItem(RELOADED) === this.wanted) return;
      sessionStorage.setItem(RELOADED, this.wanted);
    } catch {
      return; // nothing could tell that it was done
    }
    this.reload();
  }
}
