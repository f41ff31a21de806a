// Runs before the first paint, so that the page does not flash in the other theme.
(() => {
  let theme = null;
  try {
    theme = new URLSearchParams(location.search).get("theme") || localStorage.getItem("theme");
  } catch { /* storage may be forbidden */ }
  if (theme !== "dark" && theme !== "light") {
    theme = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  }
  document.documentElement.dataset.theme = theme;
})();
