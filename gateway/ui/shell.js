// @ts-check
/** The frame around what is inside: where one is, how the connection is, and which view is shown. */
import { devices, waitingNodes } from "./devices.js";
import { announce, fill, focusTitle, h, icon, mark, refocus } from "./dom.js";
import { plainHttpWarning } from "./gate.js";
import { EVERYTHING, link } from "./link.js";
import { command, empty, problem, scopeChips } from "./parts.js";
import { holds, moment, scopeName } from "./words.js";

/** @typedef {import("./gate.js").PageFacts} PageFacts */

/**
 * @typedef {object} View what a section shows
 * @property {(refresh: () => void) => () => void} open begins to follow what it shows; returns its end
 * @property {() => import("./dom.js").Child} draw
 * @property {() => number} [count] what waits there to be decided
 */

/**
 * @typedef {object} Section where a view is found; it is loaded when it is first looked at
 * @property {string} name
 * @property {string} scope what it needs
 * @property {() => Promise<View>} load
 * @property {View} [view]
 * @property {() => number} [count] what waits there to be decided
 */

/** @type {Record<string, Section>} */
const SECTIONS = {
  devices: { name: "Devices", scope: "operator.pairing", load: async () => devices, view: devices, count: () => devices.count?.() ?? 0 },
  connections: { name: "Connections", scope: "operator.read", load: async () => (await import("./connections.js")).connections },
  nodes: { name: "Nodes", scope: "operator.read", load: async () => (await import("./nodes.js")).nodes, count: waitingNodes },
  health: { name: "Health", scope: "operator.read", load: async () => (await import("./health.js")).health },
  config: { name: "Config", scope: "operator.read", load: async () => (await import("./config.js")).config },
  logs: { name: "Logs", scope: "operator.read", load: async () => (await import("./logs.js")).logs },
};

/** The section that is looked at goes first. */
const LOAD_AHEAD_MS = 1_000;

let route = "";
/** @type {(() => void) | null} */
let close = null;
/** @type {(() => void) | null} ends following the devices, which is done whatever is looked at */
let closeDevices = null;
/** @type {import("./wire.js").Wire | null} the connection that is followed */
let followed = null;
/** What it could do when it was followed. */
let rights = "";
/** @type {Element | null} */
let place = null;
/** @type {PageFacts | null} */
let page = null;
/** @type {unknown} why a section could not be loaded */
let missing = null;
let asked = false;

function wanted() {
  const said = location.hash.replace(/^#\/?/, "");
  return said in SECTIONS ? said : "devices";
}

/** @returns {Section} */
function section() {
  return /** @type {Section} */ (SECTIONS[route]);
}

/** Show what is inside. @param {Element} where @param {PageFacts} facts */
export function showShell(where, facts) {
  const entered = place === null;
  [place, page] = [where, facts];
  follow();
  draw();
  if (!entered) return;
  refocus(where);
  setTimeout(loadAhead, LOAD_AHEAD_MS);
}

/** Stop following anything: the page is outside again, and what it asked is no question any more. */
export function leaveShell() {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  close?.();
  closeDevices?.();
  close = closeDevices = followed = place = null;
  route = "";
}

/** Follow what the address names, on the connection that there is. */
function follow() {
  const moved = wanted() !== route;
  const wire = link.state.kind === "in" ? link.state.wire : null;
  const fresh = wire !== null && (wire !== followed || rights !== link.scopes.join());
  if (!moved && !fresh) return;
  route = wanted();
  if (fresh) {
    closeDevices?.();
    followed = wire;
    rights = link.scopes.join();
    closeDevices = link.may("operator.pairing") ? devices.open(draw) : null;
  }
  close?.();
  close = null;
  if (route !== "devices") void load(section(), wire);
}

/** Fetch what was not looked at yet: it is to open also while the gateway is gone. */
function loadAhead() {
  for (const one of Object.values(SECTIONS)) if (link.may(one.scope)) void one.load().catch(() => {}); // told when it is opened
}

/** @param {Section} one @param {import("./wire.js").Wire | null} wire */
async function load(one, wire) {
  try {
    one.view ??= await one.load();
    missing = null;
  } catch (error) {
    missing = error; // the gateway was updated, or is gone
  }
  if (one !== section() || wire === null || wire !== followed) return;
  close?.();
  close = one.view && link.may(one.scope) ? one.view.open(draw) : null;
  draw();
}

addEventListener("hashchange", () => {
  if (!place) return;
  follow();
  draw();
  focusTitle();
  scrollTo(0, 0);
});

function draw() {
  if (!place || !page) return;
  const { name, scope, view } = section();
  const waiting = devices.count?.() ?? 0;
  const had = document.activeElement;
  document.title = `${waiting ? `(${waiting}) ` : ""}${name} · OpenClaw gateway`;
  fill(
    place,
    h("a.unseen", { href: "#main", onclick: skip }, "Skip to the content"),
    h(
      "header.bar",
      null,
      h("div.brand", null, mark(), h("span", null, "OpenClaw gateway", h("span.host", null, ` ${location.host}`))),
      connection(),
    ),
    h("div.banners", null, plainHttpWarning(page), lost(), upgrade()),
    h(
      "div.frame",
      null,
      h("nav.sections", { "aria-label": "Sections" }, h("ul", null, Object.entries(SECTIONS).map(([id, one]) => entry(id, one)))),
      h("main.view", { key: `view ${route}`, id: "main", "aria-labelledby": "title" }, content(name, scope, view)),
    ),
  );
  if (had && !had.isConnected) focusTitle({ preventScroll: true }); // what was decided is gone, and the focus with it
}

/** @param {string} name @param {string} scope @param {View | undefined} view */
function content(name, scope, view) {
  if (link.state.kind === "in" && !link.may(scope)) return notYours(name, scope);
  if (view) return view.draw();
  return [
    h("div.head", null, h("h1", { id: "title", tabindex: -1 }, name)),
    missing === null
      ? h("div.card", null, empty("Looking …"))
      : h("div.stack", null, problem("This part of the page could not be loaded: the gateway was updated, or does not answer."), h("button.primary", { type: "button", onclick: () => location.reload() }, "Load the page anew")),
  ];
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  focusTitle();
}

/** @param {string} id @param {Section} one */
function entry(id, one) {
  const count = link.may(one.scope) ? (one.count?.() ?? 0) : 0;
  return h(
    "li",
    { key: id },
    h("a", { href: `#${id}`, "aria-current": id === route ? "page" : null }, icon(id), one.name, count > 0 && h("span.count", null, count, h("span.unseen", null, " waiting"))),
  );
}

function connection() {
  const { state } = link;
  if (state.kind !== "in") return h("div.row.small", null, h("span.dot.wait"), "reconnecting");
  const { version } = state.hello.server;
  return h("div.row.small", null, h("span.dot.on"), h("span.unseen", null, "connected, "), `version ${version}`, scopeChips(essential(link.scopes)));
}

/** Scopes without those that another of them holds already. @param {string[]} scopes */
function essential(scopes) {
  if (scopes.includes("operator.admin")) return ["operator.admin"];
  return scopes.filter((one) => !scopes.some((other) => other !== one && holds([other], one)));
}

function lost() {
  const { state } = link;
  if (state.kind === "in") return null;
  if (state.kind === "connecting") return h("div.note.warn", null, "Connecting …");
  if (state.kind !== "down") return null;
  announce("The connection is lost");
  return h(
    "div.note.warn",
    null,
    h("div.row.apart", null, h("span", null, "The gateway does not answer. What is shown may be old; this page comes back by itself. Lost: ", moment(state.sinceMs)), h("button", { type: "button", onclick: () => link.again() }, "Try now")),
  );
}

/** What was asked for beyond what is approved, and the command that gives it. */
function upgrade() {
  const pending = link.pendingUpgrade;
  if (!pending) {
    asked = false;
    return link.upgradeEnded && h("div.note.warn", null, link.upgradeEnded === "rejected" ? "An operator turned down what this browser asked for." : "What this browser asked for was not decided in time. It may ask again.");
  }
  const more = pending.scopes.filter((/** @type {string} */ scope) => !link.may(scope));
  return h(
    "div.note",
    null,
    h(
      "details",
      { open: asked },
      h("summary", null, "More rights wait for approval: ", h("strong.mono", null, pending.requestId)),
      h("p", null, "This browser asked for ", scopeChips(more), ". The page takes them up the moment they are approved."),
      command(`openclaw devices approve ${pending.requestId}`, "gateway-host"),
    ),
  );
}

/** @param {string} name @param {string} scope */
function notYours(name, scope) {
  return [
    h("div.head", null, h("h1", { id: "title", tabindex: -1 }, name)),
    h(
      "div.card.inner.stack",
      null,
      h("p", null, `${name} needs `, h("strong", null, scopeName(scope)), ". This browser was given ", scopeChips(link.scopes), "."),
      link.pendingUpgrade
        ? h("p", null, "More was asked for already; see above.")
        : h("button.primary", { type: "button", onclick: () => ((asked = true), void link.askForMore()) }, "Ask for more"),
      h("p.small.muted", null, "Asking leaves a request that an operator approves: ", EVERYTHING.map(scopeName).join(", "), "."),
    ),
  ];
}
