const CONFIG = { displayModeBar: false, responsive: true };
const LEAST = 6; // pixels of a column, where before and after are beside each other
const ABOVE = 1.05; // of the axis of a layer's blocks, beyond the highest column
const MOST_PRINTED = 300; // pixels of a figure on paper, so that there are two on a page and none is left half
const LEAST_WITH_NUMBERS = 24; // pixels of a column whose blocks have numbers on them

// The figure as it suits the page: its colours, and no drag that would take the place of scrolling by touch.
function suited({ data, layout }) {
  const colours = getComputedStyle(root);
  const own = structuredClone(layout);
  own.template.layout.font.color = colours.getPropertyValue("--ink");
  own.template.layout.shapedefaults.line.color = colours.getPropertyValue("--ink");
  for (const axis of ["xaxis", "yaxis"]) own.template.layout[axis].gridcolor = colours.getPropertyValue("--rule");
  if (own.coloraxis) {
    const { colorscale, cmin, cmax } = own.coloraxis;
    colorscale.find(([share]) => share === -cmin / (cmax - cmin))[1] = colours.getPropertyValue("--one");
  }
  own.hoverlabel = { bgcolor: colours.getPropertyValue("--card"), font: { color: colours.getPropertyValue("--ink") } };
  own.dragmode = matchMedia("(pointer: fine)").matches ? "zoom" : false;
  if ("printing" in root.dataset) {
    own.width = document.querySelector("main").clientWidth;
    if (!isNamedAtEnds(own)) own.height = Math.min(own.height, MOST_PRINTED);
  }
  return [data.map((trace) => withReadableNumbers(trace, own, colours)), own, CONFIG];
}

// Numbers on the cells of a heat map are in the colour of the page's text, and its colours such that they can be read.
function withReadableNumbers(trace, { coloraxis }, colours) {
  if (trace.type !== "heatmap" || !trace.texttemplate) return trace;
  coloraxis.colorscale.at(-1)[1] = colours.getPropertyValue("--most");
  return { ...trace, textfont: { color: colours.getPropertyValue("--ink") } };
}

// Whether lines are named at their ends: where names are depends on the height.
function isNamedAtEnds({ annotations }) {
  return annotations?.some(({ showarrow }) => showarrow !== false);
}

// Pixels of a column, where so many sides are beside each other.
function columnWidth(place, { meta, margin }, sides) {
  return (place.clientWidth - margin.l - margin.r) / sides / meta.beside;
}

// Whether before and after are too narrow beside each other, so that one at a time takes the whole width.
function isNarrow(place, layout) {
  return layout.meta.beside && !("printing" in root.dataset) && columnWidth(place, layout, 2) < LEAST;
}

// Blocks without their numbers, most of which would not fit.
function unnumbered({ data, layout }) {
  return { data: data.map(({ texttemplate, ...trace }) => trace), layout };
}

// One side of a figure of two: what is on its axes, which become the only ones.
function oneSide({ data, layout }, side) {
  const axis = side ? `x${side + 1}` : "x";
  const alone = (name) => name?.replace(/^([xy])2/, "$1");
  const kept = (parts) =>
    parts
      .filter(({ xref }) => xref.split(" ")[0] === axis)
      .map((part) => ({ ...part, xref: alone(part.xref), yref: alone(part.yref) }));
  const { xaxis2, yaxis2, ...own } = layout;
  return {
    data: data
      .filter(({ xaxis }) => (xaxis ?? "x") === axis)
      .map((trace) => ({ ...trace, xaxis: "x", yaxis: "y", ...(trace.legendgroup && { showlegend: true }) })),
    layout: {
      ...own,
      xaxis: { ...layout.xaxis, domain: [0, 1] },
      shapes: kept(layout.shapes),
      annotations: kept(layout.annotations),
    },
  };
}

// The blocks of a layer as high as in one window: heights are those of each side, in the order that blocks are stacked.
function inWindow({ data, layout }, window, heights) {
  const layer = layout.meta.label.match(/^[^:]*/)[0];
  const slotsOf = (number) => data.find(({ meta }) => meta.side === number).meta.slots;
  const bases = heights.map((side, number) => {
    const slots = slotsOf(number);
    return side.map((_, place) => side.slice(place - (place % slots), place).reduce((sum, height) => sum + height, 0));
  });
  const tops = heights.map((side, number) => side.map((height, place) => bases[number][place] + height));
  const told = ["before", "after"].map((name, number) => {
    const top = Math.max(...tops[number]);
    const gpu = Math.floor(tops[number].indexOf(top) / slotsOf(number));
    return `${name}, the busiest GPU, ${gpu}, has ${top.toFixed(3)} times the mean`;
  });
  const range = [0, ABOVE * Math.max(1, ...tops.flat())];
  const words = heights[1].some((height) => height > 0) ? told.join("; ") : "idle";
  return {
    data: data.map((trace) => {
      const { side, places } = trace.meta;
      return { ...trace, y: places.map((at) => heights[side][at]), base: places.map((at) => bases[side][at]) };
    }),
    layout: {
      ...layout,
      yaxis: { ...layout.yaxis, range },
      yaxis2: { ...layout.yaxis2, range },
      meta: { ...layout.meta, label: `${layer}, window ${window}: ${words}` },
    },
  };
}
