// Quality against cost: scatter plots with the Pareto front.

function costSection() {
  return {
    id: "cost",
    title: "Quality against cost",
    help: "Up and to the left is better. The dashed line is the Pareto front: no method scores higher at that cost or less; methods on it have filled marks and bold names. Vertical lines are 95 % intervals, the dotted line is the majority class.",
    present: scoreRows().some((row) => isNumber(row.mean) && COSTS.some((cost) => isNumber(cost.of(row)))),
    build: buildCost,
  };
}

/** Training time from the runs themselves, where the report has them. */
function trainSeconds(row) {
  const tasks = row.average ? groupTasks(row.group) : [row.task];
  const perTask = tasks.map((task) => mean(cellsOf(task, row.method).map((cell) => cell.train_seconds).filter(isNumber)));
  return perTask.length > 0 && perTask.every(isNumber) ? mean(perTask) : null;
}

const COSTS = [
  { name: "trainable parameters", of: (row) => row.trainable_parameters, log: true, show: whole, axis: () => ({ title: "trainable parameters", format: compact, size: 1 }) },
  { name: "training time", of: (row) => trainSeconds(row) ?? row.seconds, show: seconds, axis: (most) => unitAxis("training time per run", TIME_UNITS, most) },
  { name: "peak memory", of: (row) => row.peak_memory_bytes, show: bytes, axis: (most) => unitAxis("peak memory", MEMORY_UNITS, most) },
];

function unitAxis(title, units, most) {
  const [name, size] = unitFor(units, most);
  return { title: `${title}, ${name}`, format: brief, size };
}

function buildCost(body) {
  const rows = scoreRows().filter((row) => isNumber(row.mean));
  const choices = scoreChoices(rows);
  const methods = inTableOrder(scoreRows().map((row) => row.method));
  const state = { choice: choices.first, cost: methods.length <= 12 ? null : COSTS[0] };
  const area = element("div", { class: "figures" });
  const missing = element("p", { class: "note" });
  const draw = () => {
    const shown = rows.filter((row) => state.choice.includes(row));
    const left = methods.filter((method) => !shown.some((row) => row.method === method));
    missing.textContent = left.length > 0 ? `Without a score here (not run, or a seed diverged): ${left.join(", ")}.` : "";
    const costs = state.cost === null ? COSTS : [state.cost];
    area.replaceChildren(...costs.map((cost) => scatterFigure(cost, shown, costs.length === 1)));
  };
  body.append(
    controls(
      selector("Score", choices.options, state.choice, (choice) => { state.choice = choice; draw(); }),
      selector("Cost", [["all three", null], ...COSTS.map((cost) => [cost.name, cost])], state.cost, (cost) => { state.cost = cost; draw(); }),
    ),
    area,
    legend(methods).node,
    missing,
  );
  draw();
}

/** The averages, then the tasks, each as the table rows that it consists of. */
function scoreChoices(rows) {
  const averages = [...grouped(rows.filter((row) => row.average), (row) => row.group)];
  const options = averages.map(([group, own]) => [averages.length === 1 ? AVERAGE : `${AVERAGE}, ${group}`, own]);
  const byTask = grouped(rows.filter((row) => !row.average), (row) => row.task);
  const ofTask = (entry) => (entry.group === undefined ? [entry[0], byTask.get(entry[1])] : { group: entry.group, options: entry.options.map(ofTask) });
  const tasks = taskOptions(tasksIn([...byTask.keys()].map((task) => ({ task })))).map(ofTask);
  const all = [...options, ...tasks];
  const firstTask = tasks[0]?.group === undefined ? tasks[0] : tasks[0].options[0];
  return { options: all, first: (options[0] ?? firstTask)[1] };
}

function scatterFigure(cost, rows, large) {
  const points = rows.filter((row) => isNumber(cost.of(row))).map((row) => ({ row, cost: cost.of(row) }));
  if (points.length === 0) return element("p", { class: "absent" }, `No ${cost.name} known.`);
  const height = large ? 440 : 330;
  const columns = [
    methodColumn("method", (row) => row.method, { head: true }),
    numberColumn(cost.name, cost.of, cost.show),
    numberColumn("score", (row) => row.mean, fixed),
    textColumn("95 % interval", (row) => interval(row.low, row.high), { numeric: true, key: null }),
  ];
  return figure({
    title: `Score against ${cost.name}`, height, columns, rows: () => rows,
    draw: (width) => drawScatter(cost, points, width, height),
  }).node;
}

function drawScatter(cost, known, width, height) {
  const { size, ...axis } = cost.axis(Math.max(...known.map((point) => point.cost)));
  const points = known.map((point) => ({ ...point, x: point.cost / size }));
  const costs = points.map((point) => point.x);
  const log = (cost.log || spansDecades(costs)) && Math.min(...costs) > 0;
  const domain = padded(extent(costs), 0.08, log);
  if (!log) domain[0] = Math.max(0, domain[0]);
  const majority = majorityOf(points[0].row);
  const scores = points.flatMap(({ row }) => [row.mean, row.low, row.high]);
  const chart = chartFrame({
    width, height, label: `Score against ${cost.name}`,
    x: { ...axis, domain, log },
    y: { title: "score, %", domain: scoreDomain(scores, [majority]) },
  });
  if (majority !== null) drawMajority(chart, majority);
  const front = paretoFront(points);
  chart.node.append(frontLine(chart, front), ...points.map((point) => intervalLine(chart, point)));
  drawNames(chart, points, front);
  append(chart.node, [points.map((point) => scatterPoint(chart, point, cost, front.includes(point)))]);
  return reachable(chart.node);
}

function majorityOf(row) {
  if (!row.average) return referenceOf("majority", row.task);
  return averageReference("majority", groupTasks(row.group));
}

function drawMajority(chart, value) {
  if (value < chart.y.domain[0]) {
    const below = text(chart.inner.right - 2, chart.inner.bottom - 4, `majority ${fixed(value)} ↓`, { "text-anchor": "end", class: "tick" });
    chart.node.append(below);
    return;
  }
  const y = chart.y.at(value);
  chart.node.append(
    line(chart.inner.left, y, chart.inner.right, y, "reference"),
    text(chart.inner.right - 2, y - 4, "majority", { "text-anchor": "end", class: "tick" }),
  );
}

/** Points that no other one matches at the same cost or less. */
function paretoFront(points) {
  const sorted = [...points].sort((a, b) => a.cost - b.cost || b.row.mean - a.row.mean);
  let best = -Infinity;
  return sorted.filter((point) => {
    const leads = point.row.mean > best;
    best = Math.max(best, point.row.mean);
    return leads;
  });
}

function frontLine(chart, front) {
  const corners = front.flatMap((point, index) => {
    const [x, y] = [chart.x.at(point.x), chart.y.at(point.row.mean)];
    const before = front[index - 1];
    return before ? [[x, chart.y.at(before.row.mean)], [x, y]] : [[x, y]];
  });
  const last = front.at(-1);
  if (last) corners.push([chart.inner.right, chart.y.at(last.row.mean)]);
  return svgElement("path", { d: pathThrough(corners), class: "front" });
}

function intervalLine(chart, { row, x: position }) {
  if (!isNumber(row.low) || !isNumber(row.high)) return "";
  const x = chart.x.at(position);
  return line(x, chart.y.at(row.low), x, chart.y.at(row.high), "whisker", { style: `stroke: ${styleOf(row.method).color}` });
}

function drawNames(chart, points, front) {
  const longest = Math.max(8, Math.floor(chart.width / 24));
  const named = points.map((point) => ({
    at: [chart.x.at(point.x), chart.y.at(point.row.mean)],
    label: shortened(point.row.method, longest),
    onFront: front.includes(point),
  }));
  // The front's names come first: they get the best places.
  named.sort((a, b) => b.onFront - a.onFront);
  const places = placeLabels(named, { ...chart.inner, right: chart.width - 2 });
  named.forEach(({ at: [x, y], label, onFront }, index) => {
    if (!places[index]) return;
    const [dx, dy, anchor] = places[index];
    if (Math.hypot(dx, dy) > 20) chart.node.append(line(x, y, x + dx * 0.85, y + dy * 0.85, "leader"));
    chart.node.append(text(x + dx, y + dy + 4, label, { "text-anchor": anchor, class: onFront ? "name strong" : "name" }));
  });
}

function scatterPoint(chart, { row, cost: value, x: position }, cost, onFront) {
  const [x, y] = [chart.x.at(position), chart.y.at(row.mean)];
  const name = `${row.method}: ${fixed(row.mean)} % at ${cost.show(value)}`;
  const lines = () => [
    row.method,
    ["score", `${fixed(row.mean, 2)}${isNumber(row.deviation) ? ` ±${fixed(row.deviation, 2)}` : ""}`],
    ["95 % interval", interval(row.low, row.high)],
    ...COSTS.map((other) => [other.name, other.show(other.of(row))]),
    onFront ? "on the Pareto front" : "not on the Pareto front",
  ];
  return chartPoint(name, lines, methodMark(row.method, x, y, { hollow: !onFront, size: 1.15 }));
}
