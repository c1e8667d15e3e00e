// The comparison tables: methods in rows, tasks in columns.

const AVERAGE = "average";

function comparisonSection() {
  return {
    id: "comparison",
    title: "Comparison",
    help: "Mean score over seeds in percent ± standard deviation; the best of a column is bold, and shaded scores are not separable from it. Methods that share a letter on a task are not separable there. Click a heading to sort; point at a score, or reach it with Tab and the arrow keys, for its 95 % intervals (over seeds by Student’s t, over seeds and items by the bootstrap) and the score of each seed.",
    present: scoreRows().length > 0,
    build: (body) => buildTables(body, false),
  };
}

function probesSection() {
  return {
    id: "probes",
    title: "Probes",
    help: "The trained methods on altered test rows, such as shifted sources; no method was trained or selected on these. Read as the tables above.",
    present: report.table.some((row) => row.probe),
    build: (body) => buildTables(body, true),
  };
}

function buildTables(body, probe) {
  const rows = report.table.filter((row) => Boolean(row.probe) === probe);
  const byGroup = grouped(rows, (row) => row.group);
  const names = distinct([...report.groups.map((group) => group.name).filter((name) => byGroup.has(name)), ...byGroup.keys()]);
  const tables = names.map((name) => groupTable(name, byGroup.get(name), probe));
  const holder = element("div", { class: "tables" }, tables.flatMap(({ node }, index) =>
    [names.length > 1 && element("h3", { dir: "auto" }, names[index]), node]));
  const toggle = checkbox("Show 95 % intervals", false, (shown) => holder.classList.toggle("with-intervals", shown));
  body.append(controls(toggle), holder, marksExplained(rows));
}

function marksExplained(rows) {
  const some = (test) => rows.some(test);
  const lines = [
    some((row) => row.letters) && ["a b", "methods without a common letter differ significantly on this task"],
    some((row) => row.diverged > 0) && ["†", "number of seeds whose loss became non-finite"],
    some(isLimited) && ["‡", "trial run with limited data or steps: not comparable with the others"],
  ].filter(Boolean);
  if (lines.length === 0) return "";
  return element("p", { class: "note" }, lines.map(([mark, meaning], index) =>
    [index > 0 && "; ", element("b", {}, mark), ` ${meaning}`]), ".");
}

function isLimited(row) {
  const tasks = row.average ? groupTasks(row.group) : [row.task];
  return tasks.some((task) => cellsOf(task, row.method).some((cell) => cell.limited));
}

function groupTable(name, rows, probe) {
  const tasks = tasksOf(name, rows);
  const methods = inTableOrder(rows.map((row) => row.method));
  const found = new Map(rows.map((row) => [rowKey(row.average ? null : row.task, row.method), row]));
  const scoreOf = (task) => (method) => found.get(rowKey(task, method));
  const hasAverage = rows.some((row) => row.average);
  const anyOf = (method) => scoreOf(null)(method) ?? rows.find((row) => row.method === method);
  const scores = [
    ...tasks.map((task) => scoreColumn(task, methods, scoreOf(task))),
    ...(hasAverage ? [scoreColumn(AVERAGE, methods, scoreOf(null), "average")] : []),
  ];
  const costs = probe ? [] : [
    measuredColumn("time", " per run", TIME_UNITS, methods, (method) => meanOf(rows, method, "seconds")),
    measuredColumn("peak memory", "", MEMORY_UNITS, methods, (method) => greatestOf(rows, method, "peak_memory_bytes")),
  ];
  const columns = [
    methodColumn("method", (method) => method, { head: true }),
    costColumn("trainable", "parameters", (method) => anyOf(method)?.trainable_parameters, whole),
    ...scores,
    ...costs,
  ];
  const { node } = dataTable({
    caption: `${probe ? "Probes" : "Comparison"}: ${name}`,
    columns,
    rows: methods,
    foot: ["majority", "ceiling"].map((kind) => referenceRow(kind, tasks, hasAverage, costs.length)),
    className: "comparison",
  });
  reserveWidths(node, rows);
  return { node };
}

/** Deviations and letters get one width in all cells, so that the means align. */
function reserveWidths(node, rows) {
  const longest = (textsOf) => Math.max(0, ...rows.map((row) => textsOf(row).length));
  node.style.setProperty("--deviation-width", `${longest(deviationText)}ch`);
  node.style.setProperty("--letters-width", `${longest((row) => marksOf(row)) * 0.75}ch`);
}

function deviationText(row) {
  return isNumber(row.deviation) ? `±${fixed(row.deviation)}` : "";
}

function marksOf(row) {
  const diverged = row.diverged > 0 ? `†${row.diverged}` : "";
  return `${row.letters ?? ""}${diverged}${isLimited(row) ? "‡" : ""}`;
}

function scoreColumn(task, methods, rowOf, className = "") {
  const rows = methods.map(rowOf).filter(Boolean);
  const best = rows.reduce((top, row) => (isNumber(row.mean) && !(row.mean <= top?.mean) ? row : top), null);
  const metrics = distinct(rows.map((row) => row.metric).filter(Boolean));
  return {
    title: task,
    note: metricNote(metrics, task),
    numeric: true,
    className: `score ${className}`,
    key: (method) => rowOf(method)?.mean,
    fill: (method) => scoreContent(rowOf(method)),
    mark: (method) => standing(rowOf(method), best),
    tip: (method) => scoreTip(rowOf(method), method, task, rows),
  };
}

function metricNote(metrics, task) {
  if (metrics.length > 1) return "several metrics";
  return metrics[0] === task ? null : metrics[0];
}

function standing(row, best) {
  if (!row || !best || !isNumber(row.mean)) return "";
  if (fixed(row.mean) === fixed(best.mean)) return "best";
  return shareLetter(row, best) ? "close" : "";
}

function shareLetter(a, b) {
  return [...(a.letters ?? "")].some((letter) => (b.letters ?? "").includes(letter));
}

function scoreContent(row) {
  if (!row) return MISSING;
  return [
    element("span", { class: "mean" }, fixed(row.mean)),
    element("span", { class: "deviation" }, deviationText(row)),
    element("sup", {}, marksOf(row)),
    element("span", { class: "interval" }, isNumber(row.low) ? interval(row.low, row.high) : ""),
  ];
}

function scoreTip(row, method, task, rows) {
  if (!row) return [`${method}, ${task}`, "not run"];
  const inseparable = rows.filter((other) => other !== row && shareLetter(row, other)).map((other) => other.method);
  const cells = row.average || row.probe ? [] : cellsOf(task, method);
  return [
    `${method}, ${task}`,
    [row.metric ?? "mean", `${fixed(row.mean, 2)} %`],
    isNumber(row.deviation) && ["standard deviation", fixed(row.deviation, 2)],
    isNumber(row.low) && ["95 % interval over seeds", interval(row.low, row.high, 2)],
    isNumber(row.sampled_low) && ["95 % interval over seeds and items", interval(row.sampled_low, row.sampled_high, 2)],
    ["seeds", `${anyText(row.seeds)}${row.diverged > 0 ? `, ${row.diverged} diverged` : ""}`],
    ...cells.slice(0, 10).map(seedLine),
    row.letters && ["not separable from", inseparable.map((name) => shortened(name, 30)).join(", ") || "none"],
    isLimited(row) && "trial run with limited data or steps",
  ].filter(Boolean);
}

function seedLine(cell) {
  const outcome = isDiverged(cell) ? `diverged${cell.problem ? `: ${cell.problem}` : ""}` : fixed(cell.score, 2);
  return [`seed ${cell.seed}`, outcome];
}

function costColumn(title, note, valueOf, format) {
  return numberColumn(title, valueOf, format, { note, className: "cost" });
}

/** One unit for the whole column, so that its numbers compare at a glance. */
function measuredColumn(title, per, units, methods, valueOf) {
  const [name, size] = unitFor(units, extent(methods.map(valueOf))?.[1] ?? 0);
  return costColumn(title, `${name}${per}`, valueOf, (value) => (isNumber(value) ? fixed(value / size) : MISSING));
}

function meanOf(rows, method, field) {
  const own = rows.filter((row) => row.method === method && isNumber(row[field]));
  return own.find((row) => row.average)?.[field] ?? mean(own.map((row) => row[field]));
}

function greatestOf(rows, method, field) {
  return extent(rows.filter((row) => row.method === method).map((row) => row[field]))?.[1] ?? null;
}

function referenceRow(kind, tasks, hasAverage, costs) {
  const values = tasks.map((task) => referenceOf(kind, task));
  if (!values.some(isNumber)) return null;
  if (hasAverage) values.push(averageReference(kind, tasks));
  const cell = (value) => element("td", { class: "number score" }, isNumber(value) && [
    element("span", { class: "mean" }, fixed(value)), element("span", { class: "deviation" }), element("sup")]);
  return element("tr", {}, element("th", { scope: "row", class: "method" }, `(${kind})`), element("td"), values.map(cell),
    Array.from({ length: costs }, () => element("td")));
}

// Diagnoses.

function diagnosesSection() {
  return {
    id: "diagnoses",
    title: "Diagnoses",
    help: "Runs whose score has a reason that the score alone does not show, such as answers that are all the same class.",
    present: scoreRows().length > 0,
    build: buildDiagnoses,
  };
}

function buildDiagnoses(body) {
  if (report.diagnoses.length === 0) {
    body.append(element("p", { class: "absent" }, "Nothing was diagnosed: no run of this report has a known fault."));
    return;
  }
  const counts = [...grouped(report.diagnoses, (entry) => entry.kind)].map(([kind, entries]) =>
    element("li", {}, isolated(kind), element("span", { class: "count" }, whole(entries.length))));
  const columns = [
    textColumn("kind", (entry) => entry.kind),
    textColumn("task", (entry) => entry.task),
    methodColumn("method", (entry) => entry.method),
    seedColumn(),
    textColumn("diagnosis", (entry) => entry.text, { className: "prose" }),
  ];
  body.append(
    element("ul", { class: "counts" }, counts),
    dataTable({ caption: "Diagnoses", columns, rows: report.diagnoses, pageSize: 15 }).node,
  );
}

/** Seeds are names, not quantities: no separators of thousands. */
function seedColumn() {
  return {
    title: "seed", numeric: true, key: (entry) => entry.seed,
    fill: (entry) => (entry.seed === null || entry.seed === undefined ? MISSING : String(entry.seed)),
  };
}
