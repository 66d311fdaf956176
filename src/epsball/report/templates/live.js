// Replaces each still figure by a live one of the same size. Without this script the stills remain.
const specs = JSON.parse(document.getElementById("specs").textContent);
const options = {
  actions: false,
  ast: true, // the page's policy forbids to evaluate text as code
  defaultStyle: false,
  renderer: "svg",
  tooltip: { disableDefaultStyle: true, theme: "plain" },
};
const drawn = new WeakMap();

async function enliven(chart) {
  const kind = chart.clientWidth >= 704 ? "wide" : "narrow"; // 44rem, as in page.css
  if (drawn.get(chart) === kind) return;
  drawn.set(chart, kind);
  await vegaEmbed(chart.querySelector(".live"), specs[chart.dataset.figure][kind], options);
  chart.classList.add("is-live");
}

const watcher = new ResizeObserver((entries) => {
  for (const entry of entries) enliven(entry.target);
});
for (const chart of document.querySelectorAll(".chart")) watcher.observe(chart);
