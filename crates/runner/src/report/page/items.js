// The test items one by one: what every method answered.

const ITEMS_PER_PAGE = 10;
const LONG_TEXT = 700;

function itemsSection() {
  return {
    id: "items",
    title: "Items",
    help: "Test items with what each method answered, those with the most disagreement first; equal answers are in one line, ✓ right and ✗ wrong. A method counts as right on an item if more than half of its seeds are. With the focus on an item, the up and down keys move among items, left and right among pages.",
    present: report.items.length > 0,
    build: buildItems,
  };
}

/** What the filters ask of an item, computed once. */
function judged(item) {
  const marks = new Map();
  for (const { method, right } of item.answers) {
    if (typeof right !== "boolean") continue;
    const [rights, all] = marks.get(method) ?? [0, 0];
    marks.set(method, [rights + Number(right), all + 1]);
  }
  const verdicts = new Map([...marks].map(([method, [rights, all]]) => [method, rights * 2 > all]));
  const values = [...verdicts.values()];
  const texts = new Set(item.answers.map((answer) => answer.text));
  return {
    item,
    verdicts,
    disagree: texts.size > 1,
    allWrong: values.length > 0 && !values.includes(true),
    allRight: values.length > 0 && !values.includes(false),
  };
}

const VERDICTS = [
  ["any", () => true],
  ["methods disagree", (entry) => entry.disagree],
  ["all wrong", (entry) => entry.allWrong],
  ["all right", (entry) => entry.allRight],
];

function buildItems(body) {
  const entries = report.items.map(judged);
  const methods = inTableOrder(report.items.flatMap((item) => item.answers.map((answer) => answer.method)));
  const state = { task: null, words: "", verdict: VERDICTS[0][1], right: null, wrong: null, page: 0 };
  const list = element("div", { class: "items" });
  const status = pagerFor(() => show(state.page - 1), () => show(state.page + 1));
  const below = pagerFor(() => turn(state.page - 1), () => turn(state.page + 1));
  const refresh = roving(list, ".item", moveAmongItems);
  let found = entries;

  function moveAmongItems(node, key) {
    const all = [...list.children];
    const index = all.indexOf(node);
    if (key === "ArrowDown") return all[index + 1];
    if (key === "ArrowUp") return all[index - 1];
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step || !pageExists(state.page + step)) return null;
    show(state.page + step);
    return list.children[0];
  }

  function pageExists(page) {
    return page >= 0 && page * ITEMS_PER_PAGE < found.length;
  }

  /** From the buttons below the list, the new page starts at its top. */
  function turn(page) {
    show(page);
    status.node.scrollIntoView({ block: "start" });
  }

  function filter() {
    const words = state.words.trim().toLowerCase();
    found = entries.filter((entry) =>
      (state.task === null || entry.item.task === state.task) &&
      state.verdict(entry) &&
      (state.right === null || entry.verdicts.get(state.right) === true) &&
      (state.wrong === null || entry.verdicts.get(state.wrong) === false) &&
      (words === "" || searchable(entry).includes(words)));
    show(0);
  }

  function show(page) {
    const pages = Math.max(1, Math.ceil(found.length / ITEMS_PER_PAGE));
    state.page = Math.max(0, Math.min(page, pages - 1));
    const first = state.page * ITEMS_PER_PAGE;
    const shown = found.slice(first, first + ITEMS_PER_PAGE);
    list.replaceChildren(...shown.map((entry) => itemNode(entry.item, state.words.trim())));
    if (shown.length === 0) list.append(element("p", { class: "absent" }, "No item passes the filters."));
    for (const pager of [status, below]) pager.show(first, shown.length, found.length, state.page, pages);
    refresh();
  }

  const change = (key) => (value) => { state[key] = value; filter(); };
  const ofMethods = [["any method", null], ...methods.map((method) => [method, method])];
  const tasks = tasksIn(report.items);
  body.append(
    controls(
      tasks.length > 1 && selector("Task", [["all", null], ...taskOptions(tasks)], null, change("task")),
      selector("Show", VERDICTS, state.verdict, change("verdict")),
      methods.length > 1 && selector("Right", ofMethods, null, change("right")),
      methods.length > 1 && selector("Wrong", ofMethods, null, change("wrong")),
      searchField("Search", debounced(150, change("words"))),
    ),
    status.node,
    list,
    below.node,
  );
  filter();
}

function searchField(label, change) {
  const input = element("input", { type: "search", autocomplete: "off", spellcheck: "false", dir: "auto" });
  on(input, "input", () => change(input.value));
  return element("label", { class: "control" }, element("span", {}, label), input);
}

function searchable(entry) {
  const { item } = entry;
  entry.text ??= [item.source, item.target, item.item, ...distinct(item.answers.map((answer) => answer.text))]
    .map((part) => String(part ?? "")).join("\n").toLowerCase();
  return entry.text;
}

function itemNode(item, words) {
  const source = String(item.source ?? "");
  return element(
    "article",
    { class: "item", tabindex: -1, "aria-label": `${item.task}, item ${item.item}` },
    element("div", { class: "item-name" }, isolated(item.task), " · item ", isolated(anyText(item.item))),
    element("div", { class: "source", dir: "auto", tabindex: source.length > LONG_TEXT ? 0 : null }, marked(source, words)),
    element("div", { class: "target" }, element("span", { class: "key" }, "target"), isolated(marked(String(item.target ?? ""), words))),
    element("ul", { class: "answers" }, answerGroups(item).map((group) => answerNode(group, words))),
  );
}

/** Equal answers together, the right ones first, then the most frequent. */
function answerGroups(item) {
  const groups = [...grouped(item.answers, (answer) => rowKey(answer.text, answer.right))].map(([, answers]) => ({
    text: answers[0].text, right: answers[0].right, answers,
  }));
  const rank = (group) => (group.right === true ? 0 : group.right === false ? 2 : 1);
  return groups.sort((a, b) => rank(a) - rank(b) || b.answers.length - a.answers.length).map((group) => ({
    ...group,
    methods: grouped(group.answers, (answer) => answer.method),
    seeds: grouped(item.answers, (answer) => answer.method),
  }));
}

const VERDICT_MARKS = new Map([[true, ["✓", "right"]], [false, ["✗", "wrong"]]]);

function answerNode(group, words) {
  const [mark, meaning] = VERDICT_MARKS.get(group.right) ?? ["·", "not judged"];
  const scores = distinct(group.answers.map((answer) => answer.score).filter(isNumber));
  const showsScore = typeof group.right !== "boolean" && scores.length > 0;
  const empty = group.text === "" || group.text === null || group.text === undefined;
  return element(
    "li",
    { class: meaning === "not judged" ? "unjudged" : meaning },
    element("span", { class: "verdict", role: "img", "aria-label": meaning }, mark),
    isolated(empty ? element("i", {}, "(empty)") : marked(String(group.text), words), { class: "answer" }),
    showsScore && element("span", { class: "count" }, scores.slice(0, 3).map(brief).join(", ")),
    element("span", { class: "by" }, inTableOrder([...group.methods.keys()]).map((method) => answeredBy(group, method))),
  );
}

function answeredBy(group, method) {
  const [own, all] = [group.methods.get(method), group.seeds.get(method)];
  const share = own.length < all.length && element("small", {}, ` ${own.length}/${all.length}`);
  const node = element("span", { class: "method-label" }, swatch(method), isolated(shortened(method, 24)), share);
  return described(node, () => [method, ["answer", shortened(anyText(group.text), 80)], ["seeds", own.map((answer) => answer.seed).join(", ")]]);
}

/** The text with the searched words marked, never as markup. */
function marked(content, words) {
  if (words === "") return content;
  const lower = content.toLowerCase();
  // Lowercasing changes the length of a few characters; their texts stay unmarked.
  if (lower.length !== content.length) return content;
  const parts = [];
  let from = 0;
  for (let at = lower.indexOf(words.toLowerCase()); at >= 0; at = lower.indexOf(words.toLowerCase(), from)) {
    parts.push(content.slice(from, at), element("mark", {}, content.slice(at, at + words.length)));
    from = at + words.length;
  }
  return [...parts, content.slice(from)];
}
