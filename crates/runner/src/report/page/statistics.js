// What the differences between methods amount to: tests per task, and summaries over tasks and seeds.

const LEVEL = 0.05;

function statisticsSection() {
  return {
    id: "statistics",
    title: "Statistics",
    help: "Over all tasks first, then pair by pair on each task. Tests compare the answers to the same test items; p-values are adjusted for the number of comparisons with Holm's method, and those below 0.05 are bold.",
    present: scoreRows().length > 0,
    build: buildStatistics,
  };
}

function buildStatistics(body) {
  const across = report.across;
  const parts = [
    interquartilePart(across.interquartile_mean),
    ...matrixParts(across),
    pairwisePart(report.pairwise),
  ].filter(Boolean);
  if (parts.length === 0) {
    const reason = report.methods.length < 2 ? "One method: there is nothing to compare it with." : "No statistics were computed for this report.";
    body.append(element("p", { class: "absent" }, reason));
  }
  const caveat = caveatOfSeeds();
  if (caveat) body.append(element("p", { class: "caveat" }, caveat));
  append(body, parts);
}

function caveatOfSeeds() {
  const seeds = mostSeeds();
  if (seeds === 1) {
    return "One seed: intervals and tests here describe which test items a single training gets right. How much a method's score varies from seed to seed cannot be estimated from one, so none of the differences below can be claimed for the method in general, only for these trainings.";
  }
  if (seeds === 2) return "Two seeds: standard deviations over seeds are very uncertain; do not rely on them.";
  return null;
}

// Interquartile mean.

function interquartilePart(entries) {
  if (entries.length === 0) return null;
  const letters = new Map(report.across.letters.map((entry) => [entry.method, entry.letters]));
  const sorted = [...entries].sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity));
  const rowHeight = 22;
  const height = sorted.length * rowHeight + 54;
  const { node } = figure({
    title: "Interquartile mean over tasks and seeds, with 95 % intervals",
    height,
    className: "narrow",
    note: letters.size > 0 ? "Methods that share a letter are not separable over all tasks." : null,
    columns: [
      methodColumn("method", (entry) => entry.method, { head: true }),
      numberColumn("interquartile mean", (entry) => entry.value, (value) => fixed(value, 2)),
      textColumn("95 % interval", (entry) => interval(entry.low, entry.high, 2), { numeric: true, key: null }),
      textColumn("letters", (entry) => letters.get(entry.method)),
    ],
    rows: () => sorted,
    draw: (width) => drawIntervals({
      label: "Interquartile mean", width, height, rowHeight, title: "score, %",
      rows: sorted.map((entry) => ({ ...entry, aside: letters.get(entry.method) ?? "" })),
    }),
  });
  return node;
}

/** One row per method: its mark at the value, a line over the interval, letters at the right. */
function drawIntervals({ label, width, height, rowHeight, title, rows }) {
  const nameWidth = nameColumnWidth(rows.map((row) => row.method), width);
  const chart = chartFrame({
    width, height, label, margin: { left: nameWidth, right: 44 },
    x: { title, domain: padded(extent(rows.flatMap((row) => [row.value, row.low, row.high])) ?? [0, 100]) },
  });
  const points = rows.map((row, index) => {
    const y = chart.inner.top + (index + 0.5) * rowHeight;
    const style = { style: `stroke: ${styleOf(row.method).color}` };
    const lines = () => [row.method, ["value", fixed(row.value, 2)], ["95 % interval", interval(row.low, row.high, 2)], row.aside && ["letters", row.aside]].filter(Boolean);
    return [
      rowName(row.method, nameWidth, y),
      row.aside && text(width - 40, y + 4, shortened(row.aside, 6), { class: "tick" }),
      chartPoint(
        `${row.method}: ${fixed(row.value)} ${interval(row.low, row.high)}`,
        lines,
        svgElement("rect", { x: chart.inner.left, y: y - rowHeight / 2, width: chart.inner.right - chart.inner.left, height: rowHeight, class: "catch" }),
        isNumber(row.low) && isNumber(row.high) && line(chart.x.at(row.low), y, chart.x.at(row.high), y, "whisker thick", style),
        isNumber(row.value) && methodMark(row.method, chart.x.at(row.value), y, { size: 1.15 }),
      ),
    ];
  });
  append(chart.node, [points]);
  return reachable(chart.node);
}

function nameColumnWidth(names, width) {
  const longest = Math.max(0, ...names.map((name) => textWidth(name)));
  return Math.round(Math.min(longest + 14, width * 0.34));
}

function rowName(name, width, y) {
  const room = Math.max(4, Math.floor((width - 10) / 6.2));
  const shown = textWidth(name) <= width - 10 ? name : shortened(name, room);
  const label = text(width - 8, y + 4, shown, { "text-anchor": "end", class: "name" });
  if (shown !== name) label.append(svgElement("title", {}, name));
  return label;
}

// Matrices of methods against methods.

function matrixParts(across) {
  const parts = [
    {
      title: "Wins, ties and losses over tasks",
      help: "Tasks on which the row's method is separably better – not separable – worse than the column's.",
      entries: across.wins,
      show: ({ wins, ties, losses }) => `${anyText(wins)}–${anyText(ties)}–${anyText(losses)}`,
      flip: (entry) => ({ ...entry, wins: entry.losses, losses: entry.wins }),
      tint: ({ wins, ties, losses }) => (wins - losses) / (wins + ties + losses || 1),
      tip: ({ wins, ties, losses }) => [["wins", anyText(wins)], ["ties", anyText(ties)], ["losses", anyText(losses)]],
    },
    {
      title: "Probability of improvement",
      help: "Probability that the row's method scores higher than the column's on a task drawn at random.",
      entries: across.improvement,
      show: (entry) => fixed(entry.probability, 2),
      flip: (entry) => ({
        ...entry,
        probability: complement(entry.probability), low: complement(entry.high), high: complement(entry.low),
      }),
      tint: (entry) => (isNumber(entry.probability) ? 2 * entry.probability - 1 : 0),
      strong: (entry) => isNumber(entry.low) && isNumber(entry.high) && (entry.low > 0.5 || entry.high < 0.5),
      tip: (entry) => [["probability", fixed(entry.probability, 3)], ["95 % interval", interval(entry.low, entry.high, 2)]],
    },
    {
      title: "Wilcoxon signed-rank test over tasks and seeds",
      help: "Holm-adjusted p-value.",
      entries: across.wilcoxon,
      show: (entry) => probability(entry.holm_p).replace("0.", "."),
      strong: isSignificant,
      tip: (entry) => [["p", probability(entry.p)], ["Holm-adjusted p", probability(entry.holm_p)], ["pairs", anyText(entry.pairs)]],
    },
    {
      title: "Smallest detectable difference",
      help: "Smallest difference in score, in percentage points, that this number of test items and seeds could have detected.",
      entries: across.detectable,
      show: (entry) => fixed(entry.difference),
      tip: (entry) => [["percentage points", fixed(entry.difference, 2)]],
    },
  ].filter((part) => part.entries.length > 0);
  if (parts.length === 0) return [];
  return [element("div", { class: "matrices" }, parts.map(matrixFigure))];
}

function isSignificant(entry) {
  return isNumber(entry.holm_p) && entry.holm_p < LEVEL;
}

function complement(value) {
  return isNumber(value) ? 1 - value : value;
}

function matrixFigure(part) {
  const flip = part.flip ?? ((entry) => entry);
  const found = new Map();
  for (const entry of part.entries) {
    found.set(rowKey(entry.method_b, entry.method_a), flip(entry));
  }
  for (const entry of part.entries) found.set(rowKey(entry.method_a, entry.method_b), entry);
  const methods = inTableOrder(part.entries.flatMap((entry) => [entry.method_a, entry.method_b]));
  const table = element(
    "table",
    { class: "matrix" },
    element("caption", { class: "hidden" }, part.title),
    element("thead", {}, element("tr", {}, element("td"), methods.map(matrixHeading))),
    element("tbody", {}, methods.map((row) => matrixRow(part, row, methods, found))),
  );
  roving(table, "tbody .stop", neighborInTable(".stop"))();
  return element(
    "figure",
    { class: methods.length > 10 ? "wide" : "" },
    element("figcaption", {}, part.title),
    element("div", { class: "scroller", role: "region", "aria-label": part.title, tabindex: 0 }, table),
    element("p", { class: "note" }, part.help),
  );
}

function matrixHeading(method) {
  return element("th", { scope: "col", title: method }, element("div", {}, isolated(shortened(method, 22))));
}

function matrixRow(part, row, methods, found) {
  const cells = methods.map((column) => {
    const entry = found.get(rowKey(row, column));
    if (row === column || !entry) return element("td", { class: row === column ? "same" : "" }, row === column ? "" : MISSING);
    const cell = element("td", { class: `stop${part.strong?.(entry) ? " strong" : ""}`, tabindex: -1 }, part.show(entry));
    const tint = part.tint?.(entry);
    if (isNumber(tint)) cell.style.cssText = heat(Math.abs(tint) * 0.7, tint < 0 ? "--against" : "--accent");
    return described(cell, () => [`${row} against ${column}`, ...part.tip(entry)]);
  });
  return element("tr", {}, element("th", { scope: "row", title: row }, isolated(shortened(row, 22))), cells);
}

// Pairs of methods on each task.

function pairwisePart(pairs) {
  if (pairs.length === 0) return null;
  const state = { task: null, method: null, significant: false };
  const methods = inTableOrder(pairs.flatMap((pair) => [pair.method_a, pair.method_b]));
  const ends = extent(pairs.flatMap((pair) => [pair.low, pair.high, pair.difference])) ?? [-1, 1];
  const widest = Math.max(...ends.map(Math.abs)) || 1;
  const table = dataTable({ caption: "Pairs of methods on each task", columns: pairColumns(widest), rows: pairs, pageSize: 25 });
  const filter = () => table.setRows(pairs.filter((pair) =>
    (state.task === null || pair.task === state.task) &&
    (state.method === null || pair.method_a === state.method || pair.method_b === state.method) &&
    (!state.significant || isSignificant(pair))));
  const change = (key) => (value) => { state[key] = value; filter(); };
  return element(
    "div",
    {},
    element("h3", {}, "Pairs on each task"),
    element("p", { class: "help" }, "Difference in score, A minus B, in percentage points with its 95 % interval; McNemar's test on the items that only one of the two answers right."),
    controls(
      selector("Task", [["all", null], ...taskOptions(tasksIn(pairs))], null, change("task")),
      selector("Method", [["all", null], ...methods.map((method) => [method, method])], null, change("method")),
      checkbox(`Holm-adjusted p < ${LEVEL} only`, false, change("significant")),
    ),
    table.node,
  );
}

function pairColumns(widest) {
  const isStrong = (pair) => (isSignificant(pair) ? "strong" : "");
  return [
    textColumn("task", (pair) => pair.task),
    methodColumn("A", (pair) => pair.method_a),
    methodColumn("B", (pair) => pair.method_b),
    numberColumn("A\u00a0−\u00a0B", (pair) => pair.difference, (value) => withSign(value), { mark: isStrong }),
    { title: "95 % interval", numeric: true, fill: (pair) => interval(pair.low, pair.high) },
    { title: "", fill: (pair) => forest(pair, widest), className: "forest" },
    numberColumn("only A", (pair) => pair.only_a, whole, { note: "right" }),
    numberColumn("only B", (pair) => pair.only_b, whole, { note: "right" }),
    numberColumn("items", (pair) => pair.items, whole),
    numberColumn("McNemar p", (pair) => pair.mcnemar_p, probability),
    numberColumn("Holm p", (pair) => pair.holm_p, probability, { mark: isStrong }),
  ];
}

/** The interval as a line in the row, all rows on one scale around zero. */
function forest({ difference, low, high }, widest) {
  const [width, height] = [140, 14];
  const x = scaleOf({ domain: [-widest, widest], range: [3, width - 3] });
  const side = low > 0 ? "over" : high < 0 ? "under" : "neither";
  return svgElement(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": true, class: `forest-line ${side}` },
    line(x.at(0), 0, x.at(0), height, "axis"),
    isNumber(low) && isNumber(high) && line(x.at(low), 7, x.at(high), 7, "whisker thick"),
    isNumber(difference) && svgElement("circle", { cx: near(x.at(difference)), cy: 7, r: 2.8 }),
  );
}
