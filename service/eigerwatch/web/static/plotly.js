// Starts plotly.js, which the page has fetched ahead.

export function loadPlotly() {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = document.getElementById("plotly").href;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
}
