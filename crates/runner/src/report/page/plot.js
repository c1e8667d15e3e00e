// Axes, marks and legends that the charts share. Charts are drawn anew when their width changes.

const FONT_SIZE = 11;

function scaleOf({ domain, range, log = false }) {
  const project = log ? (value) => Math.log10(value) : (value) => value;
  const [from, to] = domain.map(project);
  const span = to - from || 1;
  const at = (value) => range[0] + ((project(value) - from) / span) * (range[1] - range[0]);
  return { at, domain, range, log };
}

/** A domain with room at both ends. */
function padded([low, high], share = 0.06, log = false) {
  if (log) {
    const factor = Math.max((high / low) ** share, 1.15);
    return [low / factor, high * factor];
  }
  const room = (high - low) * share || Math.max(Math.abs(high) * 0.05, 1);
  return [low - room, high + room];
}

/** A domain for scores; a reference so far away that it would squeeze them together stays outside. */
function scoreDomain(scores, references) {
  const [low, high] = extent(scores) ?? [0, 100];
  const room = Math.max(high - low, 5);
  const near = references.filter((value) => isNumber(value) && value > low - room && value < high + room);
  return padded(extent([low, high, ...near]));
}

function spansDecades(values, ratio = 10) {
  const range = extent(values);
  return range !== null && range[0] > 0 && range[1] / range[0] > ratio;
}

function ticksOf(scale, count = 5) {
  return scale.log ? logTicks(scale.domain, count) : linearTicks(scale.domain, count);
}

function linearTicks([low, high], count) {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.7);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // Multiples of the step, so that no error accumulates.
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function logTicks([low, high], count) {
  const decades = Math.log10(high / low);
  const factors = decades < 1.2 ? [1, 2, 3, 5] : decades < 2.5 ? [1, 3] : [1];
  const every = Math.max(1, Math.ceil((decades * factors.length) / (count + 1)));
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const factor of factors) ticks.push(Number((factor * 10 ** power).toPrecision(6)));
  }
  const inside = ticks.filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  return inside.filter((_, index) => index % every === 0);
}

/** The empty chart: frame, grid, ticks, axis titles; `x` and `y` have `domain`, `title`, `format` and `log`. */
function chartFrame({ width, height, label, x, y, margin = {} }) {
  const edges = { top: 10, right: 14, bottom: 40, left: 50, ...margin };
  const node = svgElement("svg", {
    class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label,
  });
  const inner = { left: edges.left, right: width - edges.right, top: edges.top, bottom: height - edges.bottom };
  const xScale = scaleOf({ ...x, range: [inner.left, inner.right] });
  const yScale = y ? scaleOf({ ...y, range: [inner.bottom, inner.top] }) : null;
  node.append(xAxis(xScale, x, inner), ...(y ? [yAxis(yScale, y, inner)] : []));
  return { node, inner, x: xScale, y: yScale, width, height };
}

function xAxis(scale, axis, inner) {
  const ticks = axis.ticks ?? ticksOf(scale, Math.max(2, Math.floor((inner.right - inner.left) / 70)));
  const format = axis.format ?? brief;
  const marks = ticks.map((tick) => [
    line(scale.at(tick), inner.top, scale.at(tick), inner.bottom, "grid"),
    text(scale.at(tick), inner.bottom + 15, format(tick), { "text-anchor": "middle", class: "tick" }),
  ]);
  const base = line(inner.left, inner.bottom, inner.right, inner.bottom, "axis");
  const title = text((inner.left + inner.right) / 2, inner.bottom + 32, axis.title ?? "", {
    "text-anchor": "middle", class: "axis-title",
  });
  return svgElement("g", { "aria-hidden": true }, marks, base, title);
}

function yAxis(scale, axis, inner) {
  const ticks = axis.ticks ?? ticksOf(scale, Math.max(2, Math.floor((inner.bottom - inner.top) / 45)));
  const format = axis.format ?? brief;
  const marks = ticks.map((tick) => [
    line(inner.left, scale.at(tick), inner.right, scale.at(tick), "grid"),
    text(inner.left - 6, scale.at(tick) + 4, format(tick), { "text-anchor": "end", class: "tick" }),
  ]);
  const middle = (inner.top + inner.bottom) / 2;
  const title = text(12, middle, axis.title ?? "", {
    "text-anchor": "middle", class: "axis-title", transform: `rotate(-90 12 ${middle})`,
  });
  return svgElement("g", { "aria-hidden": true }, marks, title);
}

function line(x1, y1, x2, y2, className, attributes) {
  return svgElement("line", { x1: near(x1), y1: near(y1), x2: near(x2), y2: near(y2), class: className, ...attributes });
}

function text(x, y, content, attributes) {
  return svgElement("text", { x: near(x), y: near(y), ...attributes }, content);
}

/** A tenth of a pixel is enough, and keeps the page small. */
function near(value) {
  return Math.round(value * 10) / 10;
}

function pathThrough(points) {
  return points.map(([x, y], index) => `${index === 0 ? "M" : "L"}${near(x)} ${near(y)}`).join("");
}

const SHAPE_PATHS = new Map([
  ["circle", "M-4.2 0a4.2 4.2 0 1 0 8.4 0a4.2 4.2 0 1 0 -8.4 0z"],
  ["square", "M-3.8 -3.8h7.6v7.6h-7.6z"],
  ["triangle", "M0 -4.8L4.6 3.6H-4.6z"],
  ["diamond", "M0 -5.2L5.2 0L0 5.2L-5.2 0z"],
  ["cross", "M-4.4 -2.4L-2.4 -4.4L0 -2L2.4 -4.4L4.4 -2.4L2 0L4.4 2.4L2.4 4.4L0 2L-2.4 4.4L-4.4 2.4L-2 0z"],
  ["wedge", "M0 4.8L4.6 -3.6H-4.6z"],
  ["plus", "M-1.5 -5h3v3.5h3.5v3h-3.5v3.5h-3v-3.5h-3.5v-3h3.5z"],
  ["bar", "M-5 -2.2h10v4.4h-10z"],
]);

/** A method's mark; hollow ones have the page's background inside. */
function methodMark(method, x, y, { hollow = false, size = 1, ...attributes } = {}) {
  const { color, shape } = styleOf(method);
  const style = hollow ? `fill: var(--surface); stroke: ${color}` : `fill: ${color}; stroke: var(--surface)`;
  return svgElement("path", {
    d: SHAPE_PATHS.get(shape), class: hollow ? "mark hollow" : "mark", style,
    transform: `translate(${near(x)} ${near(y)})${size === 1 ? "" : ` scale(${size})`}`, ...attributes,
  });
}

/** A method's name with its mark, as in legends and tables. */
function methodLabel(method, length = Infinity) {
  return element("span", { class: "method-label" }, swatch(method), isolated(shortened(method, length), { title: length < [...method].length && method }));
}

function swatch(method, withLine = false) {
  const { color, dash } = styleOf(method);
  const width = withLine ? 26 : 12;
  const stroke = withLine && line(0, 6, width, 6, "", { style: `stroke: ${color}; stroke-width: 2`, "stroke-dasharray": dash });
  return svgElement(
    "svg",
    { class: "swatch", width, height: 12, viewBox: `0 0 ${width} 12`, "aria-hidden": true },
    stroke,
    methodMark(method, width / 2, 6),
  );
}

/** Names the marks; with `toggle(hidden)`, each name hides and shows its method. */
function legend(methods, { lines = false, toggle = null, highlight = null } = {}) {
  const hidden = new Set();
  const node = element("div", { class: "legend" });
  if (!toggle) {
    append(node, methods.map((method) => methodLabel(method, 40)));
    return { node, hidden };
  }
  const buttons = methods.map((method) => {
    const button = element("button", { type: "button", "aria-pressed": "true" }, swatch(method, lines), isolated(shortened(method, 40)));
    on(button, "click", () => set([method], !hidden.has(method)));
    for (const [type, value] of [["pointerenter", method], ["pointerleave", null], ["focus", method], ["blur", null]]) {
      on(button, type, () => highlight?.(value));
    }
    return button;
  });
  function set(changed, hide) {
    for (const method of changed) hide ? hidden.add(method) : hidden.delete(method);
    methods.forEach((method, index) => buttons[index].setAttribute("aria-pressed", String(!hidden.has(method))));
    toggle(hidden);
  }
  append(node, buttons);
  if (methods.length > 2) {
    append(node, [["All", false], ["None", true]].map(([name, hide]) =>
      on(element("button", { type: "button", class: "plain" }, name), "click", () => set(methods, hide))));
  }
  return { node, hidden };
}

/** A figure that draws itself at its own width, now and whenever that changes. */
function figure({ title, aside = null, draw, height, note = null, rows = null, columns = null, className = "" }) {
  const area = element("div", { class: "drawing", style: `min-height: ${height}px` });
  const node = element(
    "figure",
    { class: className },
    title && element("figcaption", { dir: "auto" }, title, aside && element("small", {}, aside)),
    area,
    note && element("p", { class: "note" }, note),
    columns && numbersBelow(title, columns, rows),
  );
  let width = 0;
  const redraw = () => {
    const available = Math.floor(area.clientWidth);
    if (available < 40) return;
    width = available;
    area.replaceChildren(draw(width));
  };
  redraws.set(area, redraw);
  new ResizeObserver(() => Math.floor(area.clientWidth) !== width && redraw()).observe(area);
  return { node, redraw };
}

const redraws = new WeakMap();

/** Observers do not fire between the event before printing and the print. */
function drawMissing() {
  for (const area of document.querySelectorAll(".drawing:empty")) redraws.get(area)?.();
}

/** The numbers of a chart as a table. */
function numbersBelow(title, columns, rowsOf) {
  return foldedTable("Numbers", () => ({ caption: `Numbers: ${title ?? "chart"}`, columns, rows: rowsOf(), pageSize: 25 }));
}

/** Makes the points of a chart one tab stop, with arrow keys between them. */
function reachable(chart) {
  roving(chart, ".point", neighborInOrder(chart, ".point"))();
  return chart;
}

/** A point with a tooltip. */
function chartPoint(name, lines, ...children) {
  return described(svgElement("g", { class: "point", tabindex: -1, role: "img", "aria-label": name }, children), lines);
}

const ruler = document.createElement("canvas").getContext("2d");

function textWidth(content, size = FONT_SIZE) {
  if (!ruler) return [...content].length * size * 0.6;
  ruler.font = `${size}px system-ui, sans-serif`;
  return ruler.measureText(content).width;
}

// Offsets of a label's anchor from its point, the nearest first: right, left, above, below, the corners, then farther.
const LABEL_PLACES = [9, 17, 28, 44].flatMap((reach) => [
  [reach, 0, "start"], [-reach, 0, "end"], [0, -reach - 3, "middle"], [0, reach + 5, "middle"],
  [reach, -reach, "start"], [reach, reach, "start"], [-reach, -reach, "end"], [-reach, reach, "end"],
]);

function labelBox([x, y], [dx, dy, anchor], width) {
  const left = x + dx - (anchor === "end" ? width : anchor === "middle" ? width / 2 : 0);
  return { left, right: left + width, top: y + dy - 6, bottom: y + dy + 6 };
}

function overlap(a, b) {
  return Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
    Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
}

/** Where the points' names go so that none covers another or a point; null where no place is free. */
function placeLabels(points, bounds) {
  const marks = points.map(({ at: [x, y] }) => ({ left: x - 6, right: x + 6, top: y - 6, bottom: y + 6 }));
  const taken = [...marks];
  return points.map(({ at, label }) => {
    const width = textWidth(label) + 2;
    const inside = (box) => box.left >= bounds.left && box.right <= bounds.right && box.top >= bounds.top && box.bottom <= bounds.bottom;
    const place = LABEL_PLACES.find((candidate) => {
      const box = labelBox(at, candidate, width);
      return inside(box) && taken.every((other) => overlap(box, other) === 0);
    });
    if (place) taken.push(labelBox(at, place, width));
    return place ?? null;
  });
}

/** How much of the accent a heat map's cell has: never so much that its text loses contrast. */
function heat(share, color = "--accent") {
  const percent = Math.round(Math.max(0, Math.min(1, share)) * 55);
  return `background: color-mix(in oklab, var(${color}) ${percent}%, var(--surface))`;
}
