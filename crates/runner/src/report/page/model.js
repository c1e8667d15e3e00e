// The report's data, with every list present, and the questions that several sections ask of it.

const LISTS = [
  "methods", "groups", "table", "cells", "curves", "pairwise", "items", "diagnoses", "published", "ledger", "sweeps",
  "budget", "offsets", "provenance", "notes",
];
const ACROSS = ["wins", "wilcoxon", "interquartile_mean", "improvement", "letters", "detectable"];

function listsOf(object, names) {
  return Object.fromEntries(names.map((name) => [name, Array.isArray(object?.[name]) ? object[name] : []]));
}

function loadReport(json) {
  const data = JSON.parse(json);
  const report = { ...data, ...listsOf(data, LISTS), across: listsOf(data.across, ACROSS) };
  report.references = new Map(Object.entries(data.references ?? {}));
  report.methods = distinct([...report.methods, ...report.table.map((row) => row.method)]);
  report.order = new Map(report.methods.map((method, index) => [method, index]));
  report.cellsByRow = grouped(report.cells, (cell) => rowKey(cell.task, cell.method));
  report.seeds = distinct(report.cells.map((cell) => cell.seed));
  return report;
}

/** A key for pairs of arbitrary texts. */
function rowKey(...parts) {
  return JSON.stringify(parts);
}

const report = loadReport(document.getElementById("data").textContent);

const COLORS = 8;
const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "wedge", "plus", "bar"];

/** Position in table order; methods that only one section names come last. */
function orderOf(method) {
  if (!report.order.has(method)) report.order.set(method, report.order.size);
  return report.order.get(method);
}

/** The same color, shape and dash for a method everywhere; the three together differ for the first 64. */
function styleOf(method) {
  const index = orderOf(method);
  const round = Math.floor(index / COLORS);
  return {
    color: `var(--method-${index % COLORS})`,
    shape: SHAPES[(index + round) % SHAPES.length],
    dash: ["", "6 3", "2 2", "8 3 2 3"][round % 4],
  };
}

function inTableOrder(methods) {
  return distinct(methods).sort((a, b) => orderOf(a) - orderOf(b));
}

function scoreRows() {
  return report.table.filter((row) => !row.probe);
}

/** The most seeds that any score is a mean of. */
function mostSeeds() {
  return extent(report.table.map((row) => row.seeds))?.[1] ?? report.seeds.length;
}

function cellsOf(task, method) {
  return report.cellsByRow.get(rowKey(task, method)) ?? [];
}

function isDiverged(cell) {
  return cell.status === "diverged";
}

/** Majority or ceiling of a task; of an average, if every task of the group has one. */
function referenceOf(kind, task) {
  const value = report.references.get(task)?.[kind];
  return isNumber(value) ? value : null;
}

function averageReference(kind, tasks) {
  const values = tasks.map((task) => referenceOf(kind, task));
  return values.every(isNumber) ? mean(values) : null;
}

/** The tasks of a group in its order, then those that only the table names. */
function tasksOf(group, rows) {
  const named = report.groups.find((entry) => entry.name === group)?.tasks ?? [];
  const present = distinct(rows.filter((row) => !row.average).map((row) => row.task));
  return distinct([...named.filter((task) => present.includes(task)), ...present]);
}

const tasksByGroup = new Map();

/** The tasks that a group's average is over. */
function groupTasks(group) {
  if (!tasksByGroup.has(group)) {
    tasksByGroup.set(group, tasksOf(group, scoreRows().filter((row) => row.group === group)));
  }
  return tasksByGroup.get(group);
}

/** Tasks as options of a selector, under their group where there are several. */
function taskOptions(tasks) {
  const present = new Set(tasks);
  const placed = report.groups.map((group) => ({
    group: group.name,
    options: group.tasks.filter((task) => present.delete(task)).map((task) => [task, task]),
  })).filter((entry) => entry.options.length > 0);
  const others = [...present].map((task) => [task, task]);
  if (placed.length === 1 && others.length === 0) return placed[0].options;
  return [...placed, ...others];
}

/** The tasks of a list of entries, in the order of the tables. */
function tasksIn(entries) {
  const known = report.groups.flatMap((group) => group.tasks);
  const present = distinct(entries.map((entry) => entry.task));
  return distinct([...known.filter((task) => present.includes(task)), ...present]);
}
