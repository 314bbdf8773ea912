function unpacked(script) {
  const bytes = Uint8Array.from(atob(script.textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

function textOf(id) {
  return unpacked(document.getElementById(id)).text();
}

// Whole numbers from 0 to 65535, that stand for 0 to the most.
async function heightsOf(script) {
  const shares = new Uint16Array(await unpacked(script).arrayBuffer());
  return Array.from(shares, (share) => (share / 65535) * script.dataset.most);
}

function run(code) {
  const script = document.createElement("script");
  script.textContent = code;
  document.head.append(script);
}

async function start() {
  const figures = JSON.parse(await textOf("figures-packed"));
  const heights = await Promise.all(Array.from(document.querySelectorAll(".heights-packed"), heightsOf));
  run(await textOf("plotly-packed"));
  const layers = document.getElementById("opened");
  const windows = document.getElementById("window");
  const steps = document.querySelectorAll("[data-step]");
  const sides = document.querySelectorAll("[data-side]");
  let side = 0;

  // The heights of each side in the window and the layer that are chosen.
  function chosenHeights() {
    const known = windows.options.length - 1;
    const number = (windows.selectedIndex - 1) * figures.layer.length + Number(layers?.value ?? 0);
    return heights.map((all) => {
      const slots = all.length / known / figures.layer.length;
      return all.slice(number * slots, (number + 1) * slots);
    });
  }

  // A figure has one version, or one for each layer; that of the open layer is of what was planned for, or of a window.
  function versionOf(name) {
    const versions = figures[name];
    const version = versions[versions.length > 1 ? layers.value : 0];
    return name === "layer" && windows?.value ? inWindow(version, windows.value, chosenHeights()) : version;
  }

  function draw(names) {
    for (const name of names) {
      const version = versionOf(name);
      const place = document.getElementById(name);
      const narrow = isNarrow(place, version.layout);
      const choice = place.previousElementSibling;
      if (choice?.matches(".sides")) choice.hidden = !narrow;
      place.setAttribute("aria-label", version.layout.meta.label);
      const shown = narrow ? oneSide(version, side) : version;
      const crowded = name === "layer" && columnWidth(place, version.layout, narrow ? 1 : 2) < LEAST_WITH_NUMBERS;
      Plotly.react(place, ...suited(crowded ? unnumbered(shown) : shown));
    }
    const words = document.getElementById("opened-words");
    if (words) words.textContent = document.getElementById("layer").getAttribute("aria-label");
    for (const step of steps) step.disabled = !figures.layer[Number(layers.value) + Number(step.dataset.step)];
  }

  const all = Object.keys(figures);
  const ofTheLayer = all.filter((name) => name === "layer" || figures[name].length > 1);
  const twoSided = all.filter((name) => figures[name][0].layout.meta.beside);

  // What is chosen is in the address, so that a link leads to it.
  function choose(layer) {
    if (layers) layers.value = layer;
    draw(ofTheLayer);
    const chosen = new URLSearchParams({ layer: layers?.value ?? 0 });
    if (windows?.value) chosen.set("window", windows.value);
    history.replaceState(null, "", `#${chosen}`);
  }

  function follow(names) {
    const asked = new URLSearchParams(location.hash.slice(1));
    const can = (select, value) => Array.from(select?.options ?? [], (option) => option.value).includes(value);
    if (can(layers, asked.get("layer"))) layers.value = asked.get("layer");
    if (windows) windows.value = can(windows, asked.get("window")) ? asked.get("window") : "";
    draw(names);
    if (asked.has("layer")) document.getElementById("layer-heading")?.scrollIntoView();
  }

  function showSide(chosen) {
    side = chosen;
    for (const button of sides) button.setAttribute("aria-pressed", Number(button.dataset.side) === side);
    draw(twoSided);
  }

  for (const missing of document.querySelectorAll(".missing")) missing.remove();
  offerTables();
  follow(all);
  addEventListener("hashchange", () => follow(ofTheLayer));
  layers?.addEventListener("change", () => choose(layers.value));
  windows?.addEventListener("change", () => choose(layers?.value));
  for (const step of steps) step.addEventListener("click", () => choose(Number(layers.value) + Number(step.dataset.step)));
  for (const button of sides) button.addEventListener("click", () => showSide(Number(button.dataset.side)));
  if (layers) {
    for (const [name, [{ layout }]] of Object.entries(figures)) {
      if (!layout.meta.layersOn) continue;
      document.getElementById(name).on("plotly_click", ({ points }) => {
        choose(points[0][layout.meta.layersOn]);
        document.getElementById("layer-heading").scrollIntoView();
      });
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(all));
  addEventListener("resize", () => draw(twoSided));
  addEventListener("beforeprint", () => {
    root.dataset.printing = "";
    draw(all);
  });
  addEventListener("afterprint", () => {
    delete root.dataset.printing;
    draw(all);
    for (const name of all) Plotly.Plots.resize(name);
  });
  root.dataset.drawn = "";
}

start();
