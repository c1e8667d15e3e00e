/** A labeled select; `options` are [text, value] pairs, or lists of them under a group's name. */
function selector(label, options, chosen, change) {
  const values = [];
  const option = ([text, value]) => {
    values.push(value);
    return element("option", { value: values.length - 1, selected: value === chosen }, text);
  };
  const entries = options.map((entry) =>
    entry.group === undefined
      ? option(entry)
      : element("optgroup", { label: entry.group }, entry.options.map(option)));
  const select = element("select", {}, entries);
  on(select, "change", () => change(values[Number(select.value)]));
  return element("label", { class: "control" }, element("span", {}, label), select);
}

function checkbox(label, checked, change) {
  const box = element("input", { type: "checkbox", checked });
  on(box, "change", () => change(box.checked));
  return element("label", { class: "control check" }, box, element("span", {}, label));
}

function controls(...children) {
  return element("div", { class: "controls" }, children);
}

/** One tab stop for many elements; arrow keys move among them, as `next(current, key)` says. */
function roving(container, query, next) {
  const focusable = () => container.querySelector(`${query}[tabindex="0"]`);
  const enter = (node) => {
    focusable()?.setAttribute("tabindex", "-1");
    node.setAttribute("tabindex", "0");
  };
  on(container, "focusin", (event) => {
    const node = event.target.closest(query);
    if (node && container.contains(node)) enter(node);
  });
  on(container, "keydown", (event) => {
    const node = event.target.closest(query);
    if (!node || node !== event.target || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = next(node, event.key);
    if (!target) return;
    event.preventDefault();
    enter(target);
    target.focus();
  });
  return () => {
    if (!focusable()) container.querySelector(query)?.setAttribute("tabindex", "0");
  };
}

/** The neighbor of a node in the order of the document, for charts. */
function neighborInOrder(container, query) {
  const steps = new Map([["ArrowRight", 1], ["ArrowDown", 1], ["ArrowLeft", -1], ["ArrowUp", -1]]);
  return (node, key) => {
    const all = [...container.querySelectorAll(query)];
    if (key === "Home") return all[0];
    if (key === "End") return all.at(-1);
    return steps.has(key) ? all[all.indexOf(node) + steps.get(key)] : null;
  };
}

/** The neighbor of a cell in its table. */
function neighborInTable(query) {
  return (cell, key) => {
    const row = cell.parentElement;
    const inRow = (other) => (other?.children[cell.cellIndex]?.matches(query) ? other.children[cell.cellIndex] : null);
    const stops = () => [...row.querySelectorAll(query)];
    switch (key) {
      case "ArrowUp": return inRow(row.previousElementSibling);
      case "ArrowDown": return inRow(row.nextElementSibling);
      case "ArrowLeft": return stops()[stops().indexOf(cell) - 1];
      case "ArrowRight": return stops()[stops().indexOf(cell) + 1];
      case "Home": return stops()[0];
      case "End": return stops().at(-1);
      default: return null;
    }
  };
}
