// What the results are compared with and where they come from: published values, ledger, provenance, notes.

function publishedSection() {
  return {
    id: "published",
    title: "Paper against reproduced",
    help: "Published scores beside ours. “Inside” means that the published score lies in our 95 % interval. Where the protocol differs, agreement and disagreement say little: the differences are listed.",
    present: report.published.length > 0,
    build: buildPublished,
  };
}

function buildPublished(body) {
  const rows = report.published;
  const known = rows.filter((row) => typeof row.inside === "boolean");
  const inside = known.filter((row) => row.inside).length;
  const same = rows.filter((row) => (row.differences ?? []).length === 0).length;
  const summary = `${whole(inside)} of ${plural(known.length, "comparable score")} inside; ${whole(same)} of ${whole(rows.length)} with the same protocol.`;
  const ends = rows.flatMap((row) => [row.published, row.ours, row.low, row.high].filter(isNumber));
  const columns = publishedColumns(extent(ends) ?? [0, 100]);
  body.append(element("p", { class: "summary" }, summary), dataTable({ caption: "Published scores and ours", columns, rows, pageSize: 50 }).node);
}

function publishedColumns(range) {
  const difference = (row) => (isNumber(row.ours) && isNumber(row.published) ? row.ours - row.published : null);
  return [
    textColumn("task", (row) => row.task),
    methodColumn("method", (row) => row.method),
    textColumn("metric", (row) => row.metric),
    numberColumn("published", (row) => row.published, fixed, {
      fill: (row) => [fixed(row.published), isNumber(row.deviation) && element("span", { class: "deviation" }, ` ±${fixed(row.deviation)}`)],
    }),
    numberColumn("ours", (row) => row.ours, fixed),
    { title: "95 % interval", numeric: true, fill: (row) => interval(row.low, row.high) },
    { title: "", fill: (row) => publishedLine(row, range), className: "forest" },
    numberColumn("ours − published", difference, (value) => withSign(value)),
    numberColumn("seeds", (row) => row.seeds, whole),
    textColumn("inside", insideText, { className: "nowrap", mark: (row) => (row.inside === false ? "warning" : "") }),
    { title: "protocol", key: (row) => (row.differences ?? []).length, fill: protocolContent, className: "prose" },
    textColumn("source", sourceText, { className: "prose" }),
  ];
}

function insideText(row) {
  return row.inside === true ? "✓ inside" : row.inside === false ? "✗ outside" : null;
}

function sourceText(row) {
  return row.row_of ? `${anyText(row.source)} (row of ${row.row_of})` : row.source;
}

function protocolContent(row) {
  const differences = row.differences ?? [];
  if (differences.length === 0) return "same";
  return element("details", {},
    element("summary", {}, plural(differences.length, "difference")),
    element("ul", {}, differences.map((difference) => element("li", {}, isolated(difference)))));
}

/** Our interval as a line, our mean as a dot, the published score as a tick. */
function publishedLine(row, range) {
  const [width, height] = [110, 14];
  const x = scaleOf({ domain: padded(range, 0.02), range: [3, width - 3] });
  return svgElement(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": true, class: `forest-line ${row.inside === false ? "under" : "over"}` },
    line(0, 7, width, 7, "grid"),
    isNumber(row.low) && isNumber(row.high) && line(x.at(row.low), 7, x.at(row.high), 7, "whisker thick"),
    isNumber(row.ours) && svgElement("circle", { cx: near(x.at(row.ours)), cy: 7, r: 2.8 }),
    isNumber(row.published) && line(x.at(row.published), 1, x.at(row.published), 13, "published"),
  );
}

function ledgerSection() {
  return {
    id: "ledger",
    title: "Fairness ledger",
    help: "What each method was given. A comparison is fair only where methods had the same number of trials, the same selection, and the same steps, batches and examples.",
    present: report.ledger.length > 0,
    build: buildLedger,
  };
}

function buildLedger(body) {
  const columns = [
    methodColumn("method", (row) => row.method, { head: true }),
    ...[
      ["trials", "trials"], ["grid", "grid"], ["selection", "selection"], ["steps", "steps"], ["batch_size", "batch size"],
      ["examples", "examples"], ["seeds", "seeds"], ["trainable_parameters", "trainable parameters"],
      ["sources", "trained before"],
    ].filter(([field]) => report.ledger.some((row) => row[field] !== null && row[field] !== undefined)).map(ledgerColumn),
  ];
  body.append(dataTable({ caption: "Fairness ledger", columns, rows: report.ledger }).node);
  const unequal = columns.slice(1).filter((column) => column.differs).map((column) => column.title);
  if (unequal.length > 0) {
    body.append(element("p", { class: "note" }, `Not the same for all methods: ${unequal.join(", ")}. Values that differ from the most frequent one are underlined.`));
  }
}

function ledgerColumn([field, title]) {
  const counts = grouped(report.ledger, (row) => JSON.stringify(row[field] ?? null));
  const usual = [...counts].reduce((most, entry) => (entry[1].length > most[1].length ? entry : most))[0];
  // Grids and parameter counts belong to a method; only what should be equal is compared.
  const compared = field !== "grid" && field !== "trainable_parameters";
  const differs = compared && counts.size > 1;
  return {
    title,
    differs,
    numeric: report.ledger.every((row) => typeof (row[field] ?? 0) === "number"),
    key: (row) => (typeof row[field] === "number" ? row[field] : anyText(row[field])),
    fill: (row) => isolated(anyText(row[field])),
    className: field === "grid" || field === "selection" ? "prose" : "",
    mark: (row) => (differs && JSON.stringify(row[field] ?? null) !== usual ? "unusual" : ""),
  };
}

function provenanceSection() {
  return {
    id: "provenance",
    title: "Provenance",
    help: "What these results were computed with and from; the same versions on the same machine give the same numbers.",
    present: report.provenance.length > 0,
    build: (body) => body.append(nameList(report.provenance.map(({ name, value }) => [name, value]))),
  };
}

function nameList(pairs) {
  return element("dl", { class: "names" }, pairs.map(([name, value]) => [
    element("dt", { dir: "auto" }, anyText(name)),
    element("dd", { dir: "auto" }, typeof value === "number" ? String(value) : anyText(value)),
  ]));
}

function notesSection() {
  return {
    id: "notes",
    title: "Notes",
    help: "What to know before citing these numbers.",
    present: report.notes.length > 0,
    build: (body) => body.append(element("ul", { class: "notes" }, report.notes.map((note) => element("li", {}, isolated(note))))),
  };
}
