// @ts-check
/**
 * Elements from descriptions, and the change of a living tree into a described one: what is alike
 * stays, so that focus, scroll position, open details and typed text outlive every refresh.
 *
 * Text only ever becomes text nodes and attributes; nothing here makes markup out of words.
 */

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */
/** @typedef {Record<string, unknown>} Facts */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "polyline", "polygon", "circle", "rect", "title"]);

/** What a person changes in a living element, so that a refresh must not. */
const THEIRS = new Set(["open"]);

/** @type {WeakMap<Element, Map<string, unknown>>} the listeners that an element has of ours */
const listeners = new WeakMap();
/** @type {WeakMap<Element, string>} what tells an element from its siblings */
const keys = new WeakMap();

/**
 * Make an element.
 *
 * @param {string} kind tag and classes, "button.primary"
 * @param {Facts | null} [facts] attributes; on… are listeners, `key` tells siblings apart, true is
 *   an attribute without a value, false and null are none
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function h(kind, facts, ...children) {
  const [tag = "div", ...classes] = kind.split(".");
  const el = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  if (classes.length) el.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(facts ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "key") keys.set(el, String(value));
    else if (name.startsWith("on")) listen(el, name, value);
    else if (name === "class") el.setAttribute("class", [...classes, value].join(" "));
    else el.setAttribute(name, value === true ? "" : String(value));
  }
  add(el, children);
  return /** @type {HTMLElement} */ (el);
}

/**
 * @param {Element} el
 * @param {Child[]} children
 */
function add(el, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(el, child);
    else el.append(child instanceof Node ? child : String(child));
  }
}

/**
 * @param {Element} el
 * @param {string} name
 * @param {unknown} listener
 */
function listen(el, name, listener) {
  const own = listeners.get(el) ?? new Map();
  listeners.set(el, own.set(name, listener));
  /** @type {any} */ (el)[name] = listener;
}

/**
 * Change a living element into a described one.
 *
 * @param {Element} live
 * @param {Element} wanted
 */
export function patch(live, wanted) {
  for (const { name } of [...live.attributes]) {
    if (!wanted.hasAttribute(name) && !THEIRS.has(name)) live.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (!THEIRS.has(name) && live.getAttribute(name) !== value) live.setAttribute(name, value);
  }
  const [had, has] = [listeners.get(live), listeners.get(wanted)];
  for (const name of had?.keys() ?? []) if (!has?.has(name)) listen(live, name, null);
  for (const [name, listener] of has ?? []) listen(live, name, listener);
  if (wanted.hasAttribute("data-own")) return; // what is in it is somebody else's to draw
  patchChildren(live, [...wanted.childNodes]);
}

/**
 * Let an element hold what is described, and no more.
 *
 * @param {Element} live
 * @param {...Child} children
 */
export function fill(live, ...children) {
  const holder = document.createElement("div");
  add(holder, children);
  patchChildren(live, [...holder.childNodes]);
}

/**
 * @param {Element} live
 * @param {ChildNode[]} wanted
 */
function patchChildren(live, wanted) {
  /** @type {Map<string, Element>} */
  const known = new Map();
  for (const child of live.children) {
    const key = keys.get(child);
    if (key !== undefined) known.set(key, child);
  }
  // What is gone goes first: what came after it then stands in its place, and keeps the focus.
  const kept = new Set(wanted.map(keyOf));
  for (const [key, child] of known) if (!kept.has(key)) child.remove();
  /** @type {ChildNode | null} */
  let next = live.firstChild;
  for (const want of wanted) {
    const key = keyOf(want);
    const match = key === undefined ? next : known.get(key);
    if (key !== undefined) known.delete(key); // two of one name are two all the same
    if (match && alike(match, want) && (key !== undefined || keyOf(match) === undefined)) {
      if (match === next) next = next.nextSibling;
      else live.insertBefore(match, next);
      if (match instanceof Element) patch(match, /** @type {Element} */ (want));
      else if (match.nodeValue !== want.nodeValue) match.nodeValue = want.nodeValue;
    } else {
      live.insertBefore(want, next);
    }
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
}

/** @param {ChildNode} node */
function keyOf(node) {
  return node instanceof Element ? keys.get(node) : undefined;
}

/**
 * @param {ChildNode} live
 * @param {ChildNode} want
 */
function alike(live, want) {
  if (live.nodeName !== want.nodeName) return false;
  // A field that asks for something else is another field, with its own text in it.
  if (live instanceof HTMLInputElement && want instanceof HTMLInputElement) {
    return live.name === want.name && live.type === want.type;
  }
  return true;
}

/** @type {Record<string, string>} outlines on a field of 24 by 24 */
const SHAPES = {
  devices: "M7 3h10v18H7z M11 18h2",
  connections: "M4 12h16 M8 8l-4 4 4 4 M16 8l4 4-4 4",
  nodes: "M5 5h6v6H5z M13 13h6v6h-6z M11 8h5v5",
  health: "M3 12h4l3-7 4 14 3-7h4",
  config: "M4 7h10 M18 7h2 M4 17h2 M10 17h10 M16 5v4 M8 15v4",
  logs: "M5 6h14 M5 12h14 M5 18h9",
};

/**
 * Draw one of our pictures; words beside it say what it means.
 *
 * @param {string} name
 */
export function icon(name) {
  return h(
    "svg",
    { viewBox: "0 0 24 24", "aria-hidden": "true", fill: "none", stroke: "currentColor", "stroke-width": 1.8 },
    h("path", { d: SHAPES[name], "stroke-linecap": "round", "stroke-linejoin": "round" }),
  );
}

/** Draw the mark of the gateway. */
export function mark() {
  return h(
    "svg",
    { viewBox: "0 0 32 32", "aria-hidden": "true" },
    h("rect", { width: 32, height: 32, rx: 7, fill: "#0b5f4d" }),
    h("path", { d: "M9 25V14a7 7 0 0 1 14 0v11", fill: "none", stroke: "#fff", "stroke-width": 3, "stroke-linecap": "round" }),
    h("circle", { cx: 16, cy: 19, r: 2.6, fill: "#8fe3c8" }),
  );
}

/**
 * Tell what changed to whoever hears the page instead of seeing it.
 *
 * @param {string} words
 */
export function announce(words) {
  const place = document.getElementById("announcements");
  if (place && place.textContent !== words) place.textContent = words;
}

/** Whether somebody uses the page already: focus is taken from nobody who does not. */
let used = false;
for (const kind of ["keydown", "pointerdown"]) addEventListener(kind, () => (used = true), { once: true });

/**
 * Move the focus to the heading, if what had it is gone with the screen before.
 *
 * @param {Element} place
 */
export function refocus(place) {
  if (!used || (document.activeElement && document.activeElement !== document.body)) return;
  /** @type {HTMLElement | null} */ (place.querySelector("h1"))?.focus();
}

/** Move the focus to the heading of the section that is shown. @param {FocusOptions} [how] */
export function focusTitle(how) {
  document.getElementById("title")?.focus(how);
}
