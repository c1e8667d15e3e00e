// The page: header, contents, and sections that are built when they come near the view or in idle time.

const SECTIONS = [
  comparisonSection, probesSection, diagnosesSection, costSection, statisticsSection, curvesSection, distributionSection,
  sweepsSection, budgetSection, offsetsSection, itemsSection, publishedSection, ledgerSection, provenanceSection, notesSection,
].map((section) => section());

const pending = new Map();

function buildHeader() {
  const { generated = {} } = report;
  const tasks = report.groups.flatMap((group) => group.tasks).length;
  const diverged = report.cells.filter(isDiverged).length;
  const facts = [
    plural(report.methods.length, "method"),
    plural(tasks, "task"),
    plural(mostSeeds(), "seed"),
    report.cells.length > 0 && plural(report.cells.length, "run"),
    diverged > 0 && `${whole(diverged)} diverged`,
    report.split && `${report.split} split`,
  ].filter(Boolean);
  const origin = [report.suite && `suite ${report.suite}`, generated.program, generated.commit && `commit ${generated.commit}`, generated.timestamp].filter(Boolean);
  document.getElementById("top").append(
    element("div", {},
      element("h1", { dir: "auto" }, report.title ?? "Report"),
      element("p", { class: "facts" }, facts.join(" · ")),
      element("p", { class: "origin" }, origin.map((part, index) => [index > 0 && " · ", isolated(part)]))),
    themeToggle(),
  );
}

const THEMES = [["system", "Theme: system"], ["light", "Theme: light"], ["dark", "Theme: dark"]];

function themeToggle() {
  const button = element("button", { type: "button", class: "theme" });
  let current = storedTheme();
  const apply = () => {
    const [name, label] = THEMES[current];
    if (name === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", name);
    button.textContent = label;
  };
  on(button, "click", () => {
    current = (current + 1) % THEMES.length;
    storeTheme(THEMES[current][0]);
    apply();
  });
  apply();
  return button;
}

// Storage is not available to every page that is opened as a file.
function storedTheme() {
  try {
    return Math.max(0, THEMES.findIndex(([name]) => name === localStorage.getItem("peft-bench-theme")));
  } catch {
    return 0;
  }
}

function storeTheme(name) {
  try {
    localStorage.setItem("peft-bench-theme", name);
  } catch {
    return;
  }
}

function addSections() {
  const main = document.getElementById("content");
  const present = SECTIONS.filter((section) => section.present);
  for (const section of present) {
    const body = element("div", { class: "section-body" });
    const node = element(
      "section",
      { id: section.id, "aria-labelledby": `${section.id}-title` },
      element("h2", { id: `${section.id}-title`, tabindex: -1 }, section.title),
      element("p", { class: "help" }, section.help),
      body,
    );
    pending.set(node, () => section.build(body));
    main.append(node);
  }
  main.append(absentLine(SECTIONS.filter((section) => !section.present)));
  document.getElementById("contents").append(element("ol", {}, present.map(({ id, title }) =>
    element("li", {}, on(element("a", { href: `#${id}` }, title), "click", () => buildUpTo(id))))));
}

function absentLine(absent) {
  if (absent.length === 0) return "";
  return element("p", { class: "absent" }, `Without data in this report: ${absent.map((section) => section.title.toLowerCase()).join(", ")}.`);
}

function build(node) {
  const action = pending.get(node);
  if (!action) return;
  pending.delete(node);
  try {
    action();
  } catch (error) {
    node.append(element("p", { class: "absent" }, `This section could not be built: ${error.message}`));
    console.error(error);
  }
}

/** A jump needs all sections before its target, or the target would move while they are built. */
function buildUpTo(id) {
  const target = document.getElementById(id);
  for (const node of [...pending.keys()]) {
    build(node);
    if (node === target) return;
  }
}

function buildLazily() {
  const observer = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => build(entry.target)),
    { rootMargin: "800px 0px" },
  );
  for (const node of pending.keys()) observer.observe(node);
  whenIdle(buildNext);
}

function buildNext() {
  const [node] = pending.keys();
  if (!node) return;
  build(node);
  whenIdle(buildNext);
}

function whenIdle(action) {
  if (window.requestIdleCallback) requestIdleCallback(action, { timeout: 1000 });
  else setTimeout(action, 50);
}

function followReading() {
  const links = new Map([...document.querySelectorAll("#contents a")].map((link) => [link.hash.slice(1), link]));
  const visible = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) entry.isIntersecting ? visible.add(entry.target) : visible.delete(entry.target);
    const first = SECTIONS.find((section) => visible.has(document.getElementById(section.id)));
    for (const [id, link] of links) {
      if (id === first?.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    if (first) revealInContents(links.get(first.id));
  }, { rootMargin: "-80px 0px -60% 0px" });
  for (const id of links.keys()) observer.observe(document.getElementById(id));
}

/** On a phone the contents scroll sideways: moves them alone, never the page. */
function revealInContents(link) {
  const bar = document.getElementById("contents");
  if (bar.scrollWidth > bar.clientWidth) bar.scrollLeft = link.offsetLeft - bar.clientWidth / 3;
}

/** Paper shows everything: all sections, and what was folded. */
function expandForPrint() {
  const opened = [];
  on(window, "beforeprint", () => {
    for (const node of [...pending.keys()]) build(node);
    for (const details of document.querySelectorAll("details:not([open]):not(.folded)")) {
      details.open = true;
      opened.push(details);
    }
    drawMissing();
  });
  on(window, "afterprint", () => opened.splice(0).forEach((details) => { details.open = false; }));
}

function start() {
  buildHeader();
  addSections();
  installTips();
  expandForPrint();
  buildLazily();
  followReading();
  if (location.hash.length > 1) {
    const id = location.hash.slice(1);
    if (SECTIONS.some((section) => section.id === id)) {
      buildUpTo(id);
      document.getElementById(id)?.scrollIntoView();
    }
  }
}

start();
