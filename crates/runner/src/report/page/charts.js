// Scores of the single seeds, swept settings, the split of a budget, and norms of offsets.

function distributionSection() {
  return {
    id: "seeds",
    title: "Scores of the seeds",
    help: "One mark for each trained seed, a vertical tick at their mean, a dotted line at the majority class and a dashed one at the ceiling. Overlapping rows mean that the order of two methods depends on the seed.",
    present: report.cells.length > 0,
    build: buildDistribution,
  };
}

const MANY_ROWS = 160;

function buildDistribution(body) {
  const byTask = grouped(report.cells, (cell) => cell.task);
  const tasks = tasksIn([...byTask.keys()].map((task) => ({ task })));
  const rows = sum(tasks.map((task) => distinct(byTask.get(task).map((cell) => cell.method)).length));
  const state = { task: rows <= MANY_ROWS && tasks.length > 1 ? null : tasks[0] };
  const area = element("div");
  const draw = () => {
    const shown = state.task === null ? tasks : [state.task];
    area.className = shown.length > 1 ? "figures small" : "figures";
    area.replaceChildren(...shown.map((task) => stripFigure(task, byTask.get(task))));
  };
  if (tasks.length > 1) {
    const options = [["all", null], ...taskOptions(tasks)];
    body.append(controls(selector("Task", options, state.task, (task) => { state.task = task; draw(); })));
  }
  body.append(area, runsTable());
  draw();
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function stripFigure(task, cells) {
  const methods = inTableOrder(cells.map((cell) => cell.method));
  const rowHeight = 18;
  const height = methods.length * rowHeight + 54;
  return figure({ title: task, aside: referencesText(task), height, draw: (width) => drawStrip(task, cells, methods, width, height, rowHeight) }).node;
}

function referencesText(task) {
  const known = ["majority", "ceiling"].filter((kind) => referenceOf(kind, task) !== null);
  return known.map((kind) => `${kind} ${fixed(referenceOf(kind, task))}`).join(", ");
}

function drawStrip(task, cells, methods, width, height, rowHeight) {
  const nameWidth = nameColumnWidth(methods, width);
  const [majority, ceiling] = ["majority", "ceiling"].map((kind) => referenceOf(kind, task));
  const scores = cells.map((cell) => cell.score).filter(isNumber);
  const domain = scoreDomain(scores, [majority, ceiling]);
  const chart = chartFrame({ width, height, label: `Scores of the seeds, ${task}`, margin: { left: nameWidth, right: 30 }, x: { title: "score, %", domain } });
  for (const [value, className] of [[majority, "reference"], [ceiling, "front"]]) {
    if (isNumber(value) && value >= domain[0] && value <= domain[1]) {
      chart.node.append(line(chart.x.at(value), chart.inner.top, chart.x.at(value), chart.inner.bottom, className));
    }
  }
  const byMethod = grouped(cells, (cell) => cell.method);
  append(chart.node, methods.map((method, index) => {
    const y = chart.inner.top + (index + 0.5) * rowHeight;
    return [rowName(method, nameWidth, y), stripRow(chart, method, byMethod.get(method), y)];
  }));
  return reachable(chart.node);
}

function stripRow(chart, method, cells, y) {
  const scored = cells.filter((cell) => isNumber(cell.score));
  const diverged = cells.filter(isDiverged);
  const middle = mean(scored.map((cell) => cell.score));
  return [
    middle !== null && line(chart.x.at(middle), y - 7, chart.x.at(middle), y + 7, "mean-tick"),
    scored.map((cell) => chartPoint(
      `${method}, seed ${cell.seed}: ${fixed(cell.score)} %`,
      () => cellTip(cell),
      methodMark(method, chart.x.at(cell.score), y, { class: "mark seed" }),
    )),
    diverged.length > 0 && described(
      text(chart.inner.right + 6, y + 4, `†${diverged.length}`, { class: "tick warning" }),
      () => [`${method}: diverged`, ...diverged.map(seedLine)],
    ),
  ];
}

function cellTip(cell) {
  return [
    `${cell.method}, ${cell.task}, seed ${cell.seed}`,
    ["score", `${fixed(cell.score, 2)} %`],
    isNumber(cell.selection_score) && ["validation score", fixed(cell.selection_score, 2)],
    isNumber(cell.best_step) && ["best step", whole(cell.best_step)],
    isNumber(cell.last_score) && ["score at the last step", fixed(cell.last_score, 2)],
    cell.limited && "trial run with limited data or steps",
  ].filter(Boolean);
}

function runsTable() {
  const title = `All ${plural(report.cells.length, "run")}`;
  return foldedTable(title, () => ({ caption: title, columns: runColumns(), rows: report.cells, pageSize: 25 }));
}

function runColumns() {
  const outcome = (cell) => [cell.status, cell.limited ? "limited" : "", cell.problem].filter(Boolean).join(", ");
  return [
    textColumn("task", (cell) => cell.task),
    methodColumn("method", (cell) => cell.method),
    seedColumn(),
    numberColumn("score", (cell) => cell.score, (value) => fixed(value, 2)),
    numberColumn("validation", (cell) => cell.selection_score, (value) => fixed(value, 2)),
    numberColumn("best step", (cell) => cell.best_step, whole),
    numberColumn("last score", (cell) => cell.last_score, (value) => fixed(value, 2)),
    numberColumn("training", (cell) => cell.train_seconds, seconds),
    numberColumn("evaluation", (cell) => cell.evaluate_seconds, seconds),
    numberColumn("peak memory", (cell) => cell.peak_memory_bytes, bytes),
    textColumn("outcome", outcome, { className: "prose", mark: (cell) => (isDiverged(cell) ? "warning" : "") }),
  ];
}

// Swept settings.

function sweepsSection() {
  return {
    id: "sweeps",
    title: "Sensitivity to settings",
    help: "Score against each swept setting; the best value of a method has a filled mark. Flat lines mean that the setting matters little. The horizontal axis is logarithmic where the values span more than a decade.",
    present: report.sweeps.some((sweep) => sweep.points.length > 0),
    build: buildSweeps,
  };
}

function buildSweeps(body) {
  const sweeps = report.sweeps.filter((sweep) => sweep.points.length > 0);
  const tasks = tasksIn(sweeps);
  const state = { task: tasks[0] };
  const area = element("div", { class: "figures" });
  const draw = () => {
    const bySetting = grouped(sweeps.filter((sweep) => sweep.task === state.task), (sweep) => sweep.setting);
    area.replaceChildren(...[...bySetting].map(([setting, own]) => sweepFigure(setting, own, state.task)));
  };
  if (tasks.length > 1) {
    body.append(controls(selector("Task", taskOptions(tasks), state.task, (task) => { state.task = task; draw(); })));
  }
  body.append(area, legend(inTableOrder(sweeps.map((sweep) => sweep.method))).node);
  draw();
}

/** Numbers stay numbers when the settings file wrote them as text. */
function settingValue(value) {
  return typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
}

function sweepFigure(setting, sweeps, task) {
  const height = 280;
  const lines = sweeps.map((sweep) => ({
    method: sweep.method,
    points: sweep.points.map((point) => ({ ...point, value: settingValue(point.value) })),
  }));
  const rows = lines.flatMap((entry) => entry.points.map((point) => ({ ...point, method: entry.method })));
  return figure({
    title: `${setting}${task === undefined ? "" : `, ${task}`}`,
    height,
    columns: [
      methodColumn("method", (row) => row.method, { head: true }),
      textColumn("value", (row) => row.value, { numeric: true }),
      numberColumn("score", (row) => row.mean, fixed),
      textColumn("interval", (row) => interval(row.low, row.high), { numeric: true, key: null }),
      numberColumn("seeds", (row) => row.seeds, whole),
    ],
    rows: () => rows,
    draw: (width) => drawSweep(setting, lines, rows, width, height),
  }).node;
}

function drawSweep(setting, lines, rows, width, height) {
  const values = distinct(rows.map((row) => row.value));
  const numeric = values.every(isNumber);
  if (numeric) values.sort((a, b) => a - b);
  const log = numeric && spansDecades(values);
  const position = (value) => (numeric ? value : values.indexOf(value));
  const room = Math.floor(width / Math.max(1, values.length) / 6);
  const axis = numeric
    ? { domain: padded(extent(values), 0.06, log), log, ticks: log ? thinned(values, width) : undefined, format: brief }
    : { domain: [-0.5, values.length - 0.5], ticks: values.map((_, index) => index), format: (index) => shortened(anyText(values[index]), Math.max(3, room)) };
  const chart = chartFrame({
    width, height, label: `Score against ${setting}`,
    x: { title: shortened(setting, 60), ...axis },
    y: { title: "score, %", domain: padded(extent(rows.flatMap((row) => [row.mean, row.low, row.high])) ?? [0, 100]) },
  });
  append(chart.node, lines.map((entry) => sweepLine(chart, entry, position)));
  return reachable(chart.node);
}

/** The swept values themselves as ticks of a logarithmic axis, as many as there is room for. */
function thinned(values, width) {
  const every = Math.ceil(values.length / Math.max(1, Math.floor(width / 55)));
  return values.filter((_, index) => index % every === 0);
}

function sweepLine(chart, { method, points }, position) {
  const { color, dash } = styleOf(method);
  const known = points.filter((point) => isNumber(point.mean)).sort((a, b) => position(a.value) - position(b.value));
  const at = (point) => [chart.x.at(position(point.value)), chart.y.at(point.mean)];
  const best = known.reduce((top, point) => (top === null || point.mean > top.mean ? point : top), null);
  return [
    svgElement("path", { d: pathThrough(known.map(at)), class: "series", style: `stroke: ${color}`, "stroke-dasharray": dash }),
    known.map((point) => {
      const [x, y] = at(point);
      const bounded = isNumber(point.low) && isNumber(point.high);
      const lines = () => [method, ["value", anyText(point.value)], ["score", fixed(point.mean, 2)], ["interval", interval(point.low, point.high, 2)], ["seeds", anyText(point.seeds)]];
      return chartPoint(
        `${method} at ${anyText(point.value)}: ${fixed(point.mean)}`,
        lines,
        bounded && line(x, chart.y.at(point.low), x, chart.y.at(point.high), "whisker", { style: `stroke: ${color}` }),
        methodMark(method, x, y, { hollow: point !== best, size: point === best ? 1.2 : 0.85 }),
      );
    }),
  ];
}

// Prompt length against rank.

function budgetSection() {
  return {
    id: "budget",
    title: "Prompt length against rank",
    help: "Scores of the splits of one budget of trainable parameters between the prompt's length m (columns) and the offsets' rank r (rows); darker is better, the best is bold, and empty cells were not run.",
    present: report.budget.length > 0,
    build: buildBudget,
  };
}

function buildBudget(body) {
  const tasks = tasksIn(report.budget);
  const state = { task: tasks.length > 1 ? null : tasks[0] };
  const area = element("div", { class: "figures" });
  const draw = () => {
    const rows = state.task === null ? averagedBudget(tasks) : report.budget.filter((row) => row.task === state.task);
    const range = extent(rows.map((row) => row.score)) ?? [0, 100];
    const byMethod = grouped(rows, (row) => row.method);
    area.replaceChildren(...inTableOrder([...byMethod.keys()]).map((method) => budgetFigure(method, byMethod.get(method), range)));
  };
  if (tasks.length > 1) {
    const options = [[AVERAGE, null], ...taskOptions(tasks)];
    body.append(controls(selector("Task", options, state.task, (task) => { state.task = task; draw(); })));
  }
  body.append(area);
  draw();
}

/** The mean over tasks of every split that all tasks have. */
function averagedBudget(tasks) {
  const splits = grouped(report.budget, (row) => rowKey(row.method, row.length, row.rank));
  return [...splits.values()]
    .filter((rows) => distinct(rows.map((row) => row.task)).length === tasks.length)
    .map((rows) => ({ ...rows[0], score: mean(rows.map((row) => row.score).filter(isNumber)) }));
}

function budgetFigure(method, rows, [low, high]) {
  const sorted = (field) => distinct(rows.map((row) => row[field])).sort((a, b) => a - b);
  const [lengths, ranks] = [sorted("length"), sorted("rank")];
  const found = new Map(rows.map((row) => [rowKey(row.length, row.rank), row]));
  const best = extent(rows.map((row) => row.score))?.[1];
  const cellOf = (rank) => (length) => {
    const row = found.get(rowKey(length, rank));
    if (!row) return element("td");
    const cell = element("td", { class: `stop${row.score === best ? " strong" : ""}`, tabindex: -1 }, fixed(row.score));
    cell.style.cssText = heat(0.08 + (0.92 * (row.score - low)) / (high - low || 1));
    return described(cell, () => [`${method}: m = ${anyText(length)}, r = ${anyText(rank)}`, ["score", fixed(row.score, 2)], ["trainable parameters", whole(row.trainable_parameters)]]);
  };
  const table = element(
    "table",
    { class: "matrix numbers-both" },
    element("caption", { class: "hidden" }, `${method}: score by prompt length and rank`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "r \\ m"), lengths.map((length) => element("th", { scope: "col" }, anyText(length))))),
    element("tbody", {}, ranks.map((rank) => element("tr", {}, element("th", { scope: "row" }, anyText(rank)), lengths.map(cellOf(rank))))),
  );
  roving(table, "tbody .stop", neighborInTable(".stop"))();
  return element("figure", {}, element("figcaption", {}, methodLabel(method)),
    element("div", { class: "scroller", role: "region", "aria-label": `${method}: prompt length against rank`, tabindex: 0 }, table));
}

// Norms of offsets.

function offsetsSection() {
  return {
    id: "offsets",
    title: "Norms of offsets",
    help: "Euclidean norm of the offset that a method learned to add to each input embedding, by position or by token: where the norm is near zero, the input stays as it is. Each seed is a line or mark of its own.",
    present: report.offsets.some((entry) => entry.points.length > 0),
    build: buildOffsets,
  };
}

function buildOffsets(body) {
  const offsets = report.offsets.filter((entry) => entry.points.length > 0);
  const tasks = tasksIn(offsets);
  const state = { task: tasks[0] };
  const area = element("div", { class: "figures" });
  const draw = () => {
    const own = offsets.filter((entry) => entry.task === state.task);
    const panels = grouped(own, (entry) => rowKey(entry.axis, entry.method));
    const sorted = [...panels.values()].sort(([a], [b]) => (a.axis > b.axis) - (a.axis < b.axis) || orderOf(a.method) - orderOf(b.method));
    area.replaceChildren(...sorted.map(offsetsFigure));
  };
  if (tasks.length > 1) {
    body.append(controls(selector("Task", taskOptions(tasks), state.task, (task) => { state.task = task; draw(); })));
  }
  body.append(area);
  draw();
}

const MOST_TOKENS = 30;

function offsetsFigure(entries) {
  const [{ method, axis }] = entries;
  const byToken = axis === "token";
  const labels = byLabel(entries);
  const shown = byToken ? [...labels].sort((a, b) => b.mean - a.mean).slice(0, MOST_TOKENS) : labels;
  const height = byToken ? shown.length * 15 + 54 : 280;
  const draw = byToken
    ? (width) => drawTokenNorms(method, shown, width, height)
    : (width) => drawPositionNorms(method, entries, width, height);
  const more = byToken && labels.length > shown.length ? `The ${shown.length} tokens of ${whole(labels.length)} with the largest mean norm.` : null;
  return figure({
    title: `${method}, by ${axis}`, height, draw, note: more,
    columns: [
      textColumn(axis, (row) => row.label, { head: true }),
      numberColumn("mean norm", (row) => row.mean, brief),
      numberColumn("seeds", (row) => row.norms.length, whole),
    ],
    rows: () => labels,
  }).node;
}

function byLabel(entries) {
  const points = entries.flatMap((entry) => entry.points.map((point) => ({ ...point, seed: entry.seed })));
  return [...grouped(points.filter((point) => isNumber(point.norm)), (point) => point.label)]
    .map(([label, own]) => ({ label, norms: own, mean: mean(own.map((point) => point.norm)) }));
}

function drawTokenNorms(method, rows, width, height) {
  const nameWidth = nameColumnWidth(rows.map((row) => anyText(row.label)), width);
  const most = extent(rows.flatMap((row) => row.norms.map((point) => point.norm)))?.[1] ?? 1;
  const chart = chartFrame({ width, height, label: `${method}: norm of offsets by token`, margin: { left: nameWidth }, x: { title: "norm", domain: [0, most * 1.05 || 1] } });
  append(chart.node, rows.map((row, index) => {
    const y = chart.inner.top + (index + 0.5) * 15;
    const bar = { x: chart.inner.left, y: y - 4, width: near(chart.x.at(row.mean) - chart.inner.left), height: 8, class: "bar", style: `fill: ${styleOf(method).color}` };
    const lines = () => [anyText(row.label), ["mean norm", brief(row.mean)], ...row.norms.slice(0, 10).map((point) => [`seed ${point.seed}`, brief(point.norm)])];
    return [
      rowName(anyText(row.label), nameWidth, y),
      chartPoint(
        `${anyText(row.label)}: ${brief(row.mean)}`,
        lines,
        svgElement("rect", bar),
        row.norms.map((point) => line(chart.x.at(point.norm), y - 5, chart.x.at(point.norm), y + 5, "seed-tick")),
      ),
    ];
  }));
  return reachable(chart.node);
}

function drawPositionNorms(method, entries, width, height) {
  const position = (point, index) => (isNumber(settingValue(point.label)) ? settingValue(point.label) : index);
  const all = entries.flatMap((entry) => entry.points.map((point, index) => [position(point, index), point.norm]));
  const positions = extent(all.map(([at]) => at)) ?? [0, 1];
  const chart = chartFrame({
    width, height, label: `${method}: norm of offsets by position`,
    x: { title: "position", domain: positions[0] === positions[1] ? padded(positions) : positions },
    y: { title: "norm", domain: [0, (extent(all.map(([, norm]) => norm))?.[1] ?? 1) * 1.05 || 1] },
  });
  append(chart.node, entries.map((entry, index) => {
    const points = entry.points.map((point, at) => [position(point, at), point.norm]).filter(([, norm]) => isNumber(norm));
    const path = svgElement("path", {
      d: pathThrough(points.map(([at, norm]) => [chart.x.at(at), chart.y.at(norm)])),
      class: "series", style: `stroke: ${styleOf(method).color}; opacity: ${index === 0 ? 1 : 0.55}`,
    });
    const top = points.reduce((best, point) => (best === null || point[1] > best[1] ? point : best), null);
    const lines = () => [`${method}, seed ${entry.seed}`, top && ["largest norm", `${brief(top[1])} at position ${anyText(top[0])}`]].filter(Boolean);
    return chartPoint(`seed ${entry.seed}`, lines, path);
  }));
  return reachable(chart.node);
}
