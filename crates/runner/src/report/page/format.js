// Numbers as text. A missing number is an en dash everywhere.

const MISSING = "–";
const MINUS = "−";
const THIN_SPACE = "\u202f";

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function signed(text) {
  return text.replace("-", MINUS);
}

function fixed(value, digits = 1) {
  if (!isNumber(value)) return MISSING;
  const text = value.toFixed(digits);
  // A negative number that rounds to zero has no sign.
  return signed(Number(text) === 0 ? text.replace("-", "") : text);
}

function withSign(value, digits = 1) {
  const text = fixed(value, digits);
  return isNumber(value) && Number(value.toFixed(digits)) > 0 ? `+${text}` : text;
}

function interval(low, high, digits = 1) {
  return isNumber(low) && isNumber(high) ? `[${fixed(low, digits)}, ${fixed(high, digits)}]` : MISSING;
}

function whole(value) {
  return isNumber(value) ? signed(Math.round(value).toLocaleString("en-US")) : MISSING;
}

function probability(p) {
  if (!isNumber(p)) return MISSING;
  if (p < 0.001) return "< 0.001";
  return p.toFixed(3);
}

/** Three significant digits, for settings, losses and norms. */
function brief(value) {
  if (!isNumber(value)) return MISSING;
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return signed(value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e"));
  }
  if (Number.isInteger(value)) return whole(value);
  return signed(String(Number(value.toPrecision(3))));
}

const TIME_UNITS = [["s", 1], ["min", 60], ["h", 3600], ["d", 86400]];
const MEMORY_UNITS = [["KiB", 2 ** 10], ["MiB", 2 ** 20], ["GiB", 2 ** 30], ["TiB", 2 ** 40]];

/** The largest unit of which there are at least two. */
function unitFor(units, value) {
  return units.findLast(([, size]) => value >= 2 * size) ?? units[0];
}

function inUnit(units, value) {
  if (!isNumber(value)) return MISSING;
  const [name, size] = unitFor(units, value);
  const number = value / size;
  return `${number >= 100 ? whole(number) : fixed(number, 1)}${THIN_SPACE}${name}`;
}

const seconds = (value) => inUnit(TIME_UNITS, value);
const bytes = (value) => inUnit(MEMORY_UNITS, value);

/** 32,768 as 33k: for axes. */
function compact(value) {
  for (const [name, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))}${name}`;
  }
  return brief(value);
}

/** Any JSON value as a line of text: for the ledger and provenance, whose values have no fixed type. */
function anyText(value) {
  if (value === null || value === undefined || value === "") return MISSING;
  if (typeof value === "number") return Number.isInteger(value) ? whole(value) : brief(value);
  if (Array.isArray(value)) return value.map(anyText).join(", ");
  if (typeof value === "object") {
    return Object.entries(value).map(([key, inner]) => `${key} = ${anyText(inner)}`).join("; ");
  }
  return String(value);
}

/** At most `length` characters, never half a surrogate pair. */
function shortened(text, length) {
  const characters = [...String(text)];
  return characters.length <= length ? String(text) : `${characters.slice(0, length - 1).join("")}…`;
}

function plural(count, singular, several = `${singular}s`) {
  return `${whole(count)} ${count === 1 ? singular : several}`;
}

function mean(values) {
  return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!isNumber(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

function distinct(values) {
  return [...new Set(values)];
}

/** The entries by their key, in the order of the keys' first appearance. */
function grouped(entries, keyOf) {
  const groups = new Map();
  for (const entry of entries) {
    const key = keyOf(entry);
    if (groups.has(key)) groups.get(key).push(entry);
    else groups.set(key, [entry]);
  }
  return groups;
}
