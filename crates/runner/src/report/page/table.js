// Tables that sort by any column, in pages where they are long.

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Missing values come last in either direction. */
function compareKeys(a, b, direction) {
  const [noA, noB] = [a === null || a === undefined, b === null || b === undefined];
  if (noA || noB) return noA - noB;
  const order = typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
  return direction === "descending" ? -order : order;
}

/**
 * A column has `title`, `fill(row)` (what its cell shows), and optionally `note` (second line of the heading),
 * `key(row)` (what it sorts by), `numeric`, `head` (its cells name their rows), `tip(row)`, `mark(row)` (a class).
 */
function dataTable({ caption, columns, rows, foot = [], pageSize = Infinity, className = "" }) {
  const state = { rows, sorted: rows, column: null, direction: null, page: 0 };
  const body = element("tbody");
  const headings = columns.map((column) => heading(column));
  const table = element(
    "table",
    { class: className },
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, headings)),
    body,
    foot.some(Boolean) && element("tfoot", {}, foot),
  );
  const scroller = element("div", { class: "scroller", role: "region", "aria-label": caption, tabindex: 0 }, table);
  const pager = pagerFor(() => show(state.page - 1), () => show(state.page + 1));
  const refresh = roving(table, "tbody .stop", neighborInTable(".stop"));

  function heading(column) {
    const text = [element("span", { dir: "auto" }, column.title), column.note && element("small", { dir: "auto" }, column.note)];
    const classes = [column.numeric && "number", column.className].filter(Boolean).join(" ");
    if (!column.key) return element("th", { scope: "col", class: classes }, text);
    const button = on(element("button", { type: "button" }, text), "click", () => sortBy(column));
    return element("th", { scope: "col", class: classes, "aria-sort": "none" }, button);
  }

  function sortBy(column) {
    const first = column.numeric ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const again = state.column === column;
    state.direction = !again ? first : state.direction === first ? second : null;
    state.column = state.direction ? column : null;
    arrange();
  }

  function arrange() {
    columns.forEach((column, index) => {
      if (column.key) headings[index].setAttribute("aria-sort", column === state.column ? state.direction : "none");
    });
    state.sorted = state.column
      ? state.rows
          .map((row) => [state.column.key(row), row])
          .sort(([a], [b]) => compareKeys(a, b, state.direction))
          .map(([, row]) => row)
      : state.rows;
    show(0);
  }

  function show(page) {
    const pages = Math.max(1, Math.ceil(state.sorted.length / pageSize));
    state.page = Math.max(0, Math.min(page, pages - 1));
    const first = pageSize === Infinity ? 0 : state.page * pageSize;
    const shown = state.sorted.slice(first, first + pageSize);
    body.replaceChildren(...shown.map((row) => tableRow(row, columns)));
    pager.show(first, shown.length, state.sorted.length, state.page, pages);
    refresh();
  }

  arrange();
  return {
    node: element("div", { class: "table" }, scroller, rows.length > pageSize && pager.node),
    setRows(next) {
      state.rows = next;
      arrange();
    },
  };
}

function tableRow(row, columns) {
  return element("tr", {}, columns.map((column) => tableCell(row, column)));
}

function tableCell(row, column) {
  const classes = [column.numeric && "number", column.className, column.mark?.(row)].filter(Boolean).join(" ");
  const content = column.fill(row);
  const cell = column.head
    ? element("th", { scope: "row", class: classes }, content)
    : element("td", { class: classes }, content);
  if (!column.tip) return cell;
  cell.classList.add("stop");
  cell.setAttribute("tabindex", "-1");
  return described(cell, () => column.tip(row));
}

/** A table that is built when it is opened, and that stays out of print. */
function foldedTable(title, optionsOf) {
  const details = element("details", { class: "folded" }, element("summary", {}, title));
  return on(details, "toggle", () => {
    if (details.open && details.children.length === 1) details.append(dataTable(optionsOf()).node);
  });
}

function pagerFor(back, forward) {
  const status = element("span", { role: "status" });
  const previous = on(element("button", { type: "button" }, "Previous"), "click", back);
  const next = on(element("button", { type: "button" }, "Next"), "click", forward);
  return {
    node: element("div", { class: "pager" }, previous, status, next),
    show(first, count, all, page, pages) {
      status.textContent = all === 0 ? "none" : `${whole(first + 1)}–${whole(first + count)} of ${whole(all)}`;
      previous.disabled = page === 0;
      next.disabled = page >= pages - 1;
      previous.hidden = next.hidden = pages === 1;
    },
  };
}

/** The column of methods' names, each with its color and shape. */
function methodColumn(title, methodOf, options = {}) {
  return {
    title,
    key: (row) => methodOf(row),
    fill: (row) => methodLabel(methodOf(row)),
    className: "method",
    ...options,
  };
}

function textColumn(title, valueOf, options = {}) {
  return { title, key: valueOf, fill: (row) => isolated(anyText(valueOf(row))), ...options };
}

function numberColumn(title, valueOf, format, options = {}) {
  return { title, key: valueOf, fill: (row) => format(valueOf(row)), numeric: true, ...options };
}
