const tipLines = new WeakMap();
let tipNode = null;
let tipOwner = null;
let tipBox = null;

/** Describes a node on hover and focus; `lines()` gives a heading, then texts or [name, value] pairs. */
function described(node, lines) {
  node.classList.add("has-tip");
  tipLines.set(node, lines);
  return node;
}

function installTips() {
  tipNode = element("div", { id: "tip", role: "tooltip", hidden: true });
  document.body.append(tipNode);
  on(document, "pointerover", (event) => showTipOf(event.target, event));
  on(document, "focusin", (event) => showTipOf(event.target, null));
  on(document, "focusout", hideTip);
  on(document, "keydown", (event) => event.key === "Escape" && hideTip());
  document.addEventListener("scroll", followScroll, { capture: true, passive: true });
}

function showTipOf(target, pointer) {
  const owner = target instanceof Element ? target.closest(".has-tip") : null;
  if (!owner || !tipLines.has(owner)) {
    if (pointer && tipOwner !== document.activeElement) hideTip();
    return;
  }
  showTip(owner, tipLines.get(owner)(), () => owner.getBoundingClientRect());
}

/** `boxOf()` is where the tooltip points to, in the window. */
function showTip(owner, lines, boxOf) {
  if (!lines || lines.length === 0) return hideTip();
  if (tipOwner !== owner) hideTip();
  const [heading, ...rest] = lines;
  const row = (line) =>
    Array.isArray(line)
      ? element("div", { class: "pair" }, isolated(line[0]), isolated(line[1]))
      : element("div", { dir: "auto" }, line);
  tipNode.replaceChildren(element("strong", { dir: "auto" }, heading), ...rest.map(row));
  tipNode.hidden = false;
  tipOwner = owner;
  owner.setAttribute("aria-describedby", "tip");
  tipBox = boxOf;
  placeTip(boxOf());
}

function placeTip(box) {
  const gap = 8;
  const { offsetWidth: width, offsetHeight: height } = tipNode;
  const middle = (box.left + box.right) / 2 - width / 2;
  const left = Math.max(gap, Math.min(middle, document.documentElement.clientWidth - width - gap));
  const above = box.top - height - gap;
  const below = Math.min(box.bottom + gap, window.innerHeight - height - gap);
  tipNode.style.left = `${left}px`;
  tipNode.style.top = `${above >= gap ? above : Math.max(gap, below)}px`;
}

/** Focus scrolls its element into view: its tooltip moves along, those of the pointer go. */
function followScroll() {
  if (!tipOwner) return;
  if (tipOwner === document.activeElement) placeTip(tipBox());
  else hideTip();
}

function hideTip() {
  if (tipOwner) tipOwner.removeAttribute("aria-describedby");
  tipOwner = null;
  if (tipNode) tipNode.hidden = true;
}
