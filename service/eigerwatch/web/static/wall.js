// The wall: tiles and plots fill the screen, to be read from 3 m away.

const root = document.documentElement;

export function isWall() {
  return root.hasAttribute("data-wall");
}

export function setWall(wanted) {
  root.toggleAttribute("data-wall", wanted);
  document.getElementById("wall").setAttribute("aria-pressed", String(wanted));
  if (wanted) window.scrollTo(0, 0);
}
