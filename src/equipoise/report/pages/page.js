"use strict";

const CONFIG = { displayModeBar: false, responsive: true };

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function run(code) {
  const script = document.createElement("script");
  script.textContent = code;
  document.head.append(script);
}

// The figure as it suits the page: its colours, and no drag that would take the place of scrolling by touch.
function suited({ data, layout }) {
  const colours = getComputedStyle(document.documentElement);
  const own = structuredClone(layout);
  own.template.layout.font.color = colours.getPropertyValue("--ink");
  for (const axis of ["xaxis", "yaxis"]) own.template.layout[axis].gridcolor = colours.getPropertyValue("--rule");
  if (own.coloraxis) {
    const { colorscale, cmin, cmax } = own.coloraxis;
    colorscale.find(([share]) => share === -cmin / (cmax - cmin))[1] = colours.getPropertyValue("--one");
  }
  own.hoverlabel = { bgcolor: colours.getPropertyValue("--card"), font: { color: colours.getPropertyValue("--ink") } };
  own.dragmode = matchMedia("(pointer: fine)").matches ? "zoom" : false;
  if ("printing" in document.documentElement.dataset) own.width = document.querySelector("main").clientWidth;
  return [data, own, CONFIG];
}

async function start() {
  const figures = JSON.parse(await unpacked("figures-packed"));
  run(await unpacked("plotly-packed"));
  const select = document.getElementById("opened");
  const steps = document.querySelectorAll("[data-step]");

  // A figure has one version, or one for each layer.
  function draw(names) {
    for (const name of names) {
      const versions = figures[name];
      const version = versions.length > 1 ? versions[select.value] : versions[0];
      const place = document.getElementById(name);
      place.setAttribute("aria-label", version.layout.meta.label);
      Plotly.react(place, ...suited(version));
    }
  }

  function open(layer) {
    select.value = layer;
    for (const step of steps) step.disabled = !figures.layer[layer + Number(step.dataset.step)];
    draw(Object.keys(figures).filter((name) => figures[name].length > 1));
    document.getElementById("opened-words").textContent = document.getElementById("layer").getAttribute("aria-label");
  }

  function drawAll() {
    draw(Object.keys(figures));
  }

  for (const missing of document.querySelectorAll(".missing")) missing.remove();
  drawAll();
  if (select) {
    open(Number(select.value));
    select.addEventListener("change", () => open(Number(select.value)));
    for (const step of steps) step.addEventListener("click", () => open(Number(select.value) + Number(step.dataset.step)));
    for (const [name, [{ layout }]] of Object.entries(figures)) {
      if (!layout.meta.layersOn) continue;
      document.getElementById(name).on("plotly_click", ({ points }) => {
        open(points[0][layout.meta.layersOn]);
        document.getElementById("layer-heading").scrollIntoView();
      });
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.printing = "";
    drawAll();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.printing;
    drawAll();
    for (const name of Object.keys(figures)) Plotly.Plots.resize(name);
  });
  document.documentElement.dataset.drawn = "";
}

start();
