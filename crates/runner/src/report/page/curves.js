// Learning curves: mean over seeds, with a band from the lowest to the highest or whatever the data gives as bounds.

const CURVE_KINDS = [
  ["loss", "training loss"],
  ["validation", "validation score, %"],
  ["gradient_norm", "gradient norm"],
  ["learning_rate", "learning rate"],
];

function curvesSection() {
  return {
    id: "curves",
    title: "Learning curves",
    help: "Mean over seeds at each step, with a band over the seeds (left out while more than 12 methods are shown). Names below the chart show and hide their methods; point at the chart, or focus it and press the left and right arrow keys, to read values.",
    present: report.curves.some((curve) => curve.points.length > 0),
    build: buildCurves,
  };
}

function kindTitle(kind) {
  return CURVE_KINDS.find(([name]) => name === kind)?.[1] ?? kind;
}

function buildCurves(body) {
  const curves = report.curves.filter((curve) => curve.points.length > 0);
  const kinds = inKindOrder(distinct(curves.map((curve) => curve.kind)));
  const tasks = tasksIn(curves);
  const state = { task: tasks[0], kind: kinds[0], log: false, hidden: new Set(), strong: null };
  const shown = () => curves.filter((curve) => curve.task === state.task && curve.kind === state.kind);
  const height = 360;
  const chart = figure({ height, draw: (width) => drawCurves(shown(), state, width, height) });
  const change = (key) => (value) => { state[key] = value; chart.redraw(); };
  const names = legend(inTableOrder(curves.map((curve) => curve.method)), {
    lines: true,
    toggle: change("hidden"),
    highlight: (method) => highlightCurve(chart.node, method),
  });
  body.append(
    controls(
      selector("Task", taskOptions(tasks), state.task, change("task")),
      selector("Curve", kinds.map((kind) => [kindTitle(kind), kind]), state.kind, change("kind")),
      checkbox("Logarithmic", false, change("log")),
    ),
    chart.node,
    names.node,
  );
}

function inKindOrder(kinds) {
  const known = CURVE_KINDS.map(([name]) => name).filter((name) => kinds.includes(name));
  return distinct([...known, ...kinds]);
}

function highlightCurve(node, method) {
  for (const group of node.querySelectorAll(".curve")) {
    group.classList.toggle("faded", method !== null && curveMethods.get(group) !== method);
  }
}

const curveMethods = new WeakMap();

function drawCurves(all, state, width, height) {
  const curves = all.filter((curve) => !state.hidden.has(curve.method));
  const points = curves.flatMap((curve) => curve.points);
  const values = points.flatMap(([, middle, low, high]) => [middle, low, high]).filter(isNumber);
  const log = state.log && values.some((value) => value > 0);
  const drawable = log ? values.filter((value) => value > 0) : values;
  const steps = extent(points.map(([step]) => step)) ?? [0, 1];
  const chart = chartFrame({
    width, height, label: `${kindTitle(state.kind)}, ${state.task}`,
    x: { title: "step", domain: steps[0] === steps[1] ? padded(steps) : steps, format: compact },
    y: { title: kindTitle(state.kind), domain: padded(extent(drawable) ?? [0, 1], 0.05, log), log, format: brief },
  });
  const visible = (value) => isNumber(value) && (!log || value > 0);
  append(chart.node, curves.map((curve) => drawCurve(chart, curve, visible, curves.length <= MOST_BANDS)));
  if (all.length === 0) {
    const nothing = text(width / 2, height / 2, "no such curve for this task", { "text-anchor": "middle", class: "axis-title" });
    chart.node.append(nothing);
  }
  readable(chart, curves);
  return chart.node;
}

// More bands than this only cover one another.
const MOST_BANDS = 12;

function drawCurve(chart, curve, visible, withBand) {
  const { color, dash } = styleOf(curve.method);
  const middle = curve.points.filter(([, value]) => visible(value));
  const bounded = curve.points.filter(([, , low, high, seeds]) => seeds > 1 && visible(low) && visible(high));
  const at = (column) => (point) => [chart.x.at(point[0]), chart.y.at(point[column])];
  const band = [...bounded.map(at(2)), ...bounded.map(at(3)).reverse()];
  const last = middle.at(-1);
  const group = svgElement(
    "g",
    { class: "curve" },
    withBand && bounded.length > 1 && svgElement("path", { d: `${pathThrough(band)}Z`, class: "band", style: `fill: ${color}` }),
    svgElement("path", { d: pathThrough(middle.map(at(1))), class: "series", style: `stroke: ${color}`, "stroke-dasharray": dash }),
    last && methodMark(curve.method, ...at(1)(last)),
  );
  curveMethods.set(group, curve.method);
  return group;
}

/** A vertical line that follows the pointer or the arrow keys, with every method's value there. */
function readable(chart, curves) {
  const steps = distinct(curves.flatMap((curve) => curve.points.map(([step]) => step))).sort((a, b) => a - b);
  if (steps.length === 0) return;
  const cursor = line(0, chart.inner.top, 0, chart.inner.bottom, "cursor", { visibility: "hidden" });
  chart.node.append(cursor);
  let current = -1;
  const show = (index) => {
    current = Math.max(0, Math.min(index, steps.length - 1));
    const x = chart.x.at(steps[current]);
    cursor.setAttribute("x1", x);
    cursor.setAttribute("x2", x);
    cursor.setAttribute("visibility", "visible");
    showTip(chart.node, valuesAt(steps[current], curves), () => pointIn(chart, x, chart.inner.top));
  };
  const hide = () => {
    cursor.setAttribute("visibility", "hidden");
    hideTip();
  };
  chart.node.setAttribute("tabindex", "0");
  on(chart.node, "pointermove", (event) => {
    const box = chart.node.getBoundingClientRect();
    show(nearestStep(steps, chart, ((event.clientX - box.left) * chart.width) / box.width));
  });
  on(chart.node, "pointerleave", hide);
  on(chart.node, "blur", hide);
  on(chart.node, "keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    show(current + move);
  });
}

/** A point of a chart as a box in the window. */
function pointIn(chart, x, y) {
  const box = chart.node.getBoundingClientRect();
  const scale = box.width / chart.width;
  const [left, top] = [box.left + x * scale, box.top + y * scale];
  return { left, right: left, top, bottom: top };
}

function nearestStep(steps, chart, x) {
  let best = 0;
  for (let index = 1; index < steps.length; index += 1) {
    if (Math.abs(chart.x.at(steps[index]) - x) < Math.abs(chart.x.at(steps[best]) - x)) best = index;
  }
  return best;
}

function valuesAt(step, curves) {
  const values = curves.flatMap((curve) => {
    const point = curve.points.find(([at]) => at === step);
    return point && isNumber(point[1]) ? [[curve.method, point]] : [];
  });
  values.sort(([, a], [, b]) => b[1] - a[1]);
  const shown = values.slice(0, 12).map(([method, [, middle, low, high, seeds]]) =>
    [shortened(method, 24), `${brief(middle)}${seeds > 1 && isNumber(low) ? ` [${brief(low)}, ${brief(high)}]` : ""}`]);
  const more = values.length - shown.length;
  return [`step ${whole(step)}`, ...shown, ...(more > 0 ? [`and ${more} more`] : [])];
}
