// @ts-check
/** Numbers, times, scopes and reasons as people read them. */
import { h } from "./dom.js";

/** How far the gateway's clock is ahead of this browser's, ms; told by each answer that has a time. */
let ahead_ms = 0;

/** @param {number} ts the gateway's time, epoch ms */
export function tellTime(ts) {
  ahead_ms = ts - Date.now();
}

/** Return the gateway's time, epoch ms. */
export function now() {
  return Date.now() + ahead_ms;
}

/**
 * Say how long something is, in its largest unit.
 *
 * @param {number} ms
 */
export function span(ms) {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/**
 * Say how long something lasts, in two units.
 *
 * @param {number} ms
 */
export function lasting(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count !== 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

/** @param {number} at_ms */
function relative(at_ms) {
  const since = now() - at_ms;
  if (Math.abs(since) < 3000) return "just now";
  return since > 0 ? `${span(since)} ago` : `in ${span(since)}`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {number} at_ms */
function exact(at_ms) {
  const there = new Date(at_ms);
  const today = there.toDateString() === new Date(now()).toDateString();
  return (today ? CLOCK : DAY).format(there);
}

/**
 * Show a moment, both from now and exactly; the first is kept true by `tick`.
 *
 * @param {number | string | null | undefined} at epoch ms, or RFC 3339
 * @param {string} [never] what stands where there was none
 */
export function moment(at, never = "never") {
  const at_ms = typeof at === "string" ? Date.parse(at) : at;
  if (!at_ms || Number.isNaN(new Date(at_ms).getTime())) return h("span.muted", null, never);
  return h(
    "time",
    { datetime: new Date(at_ms).toISOString(), "data-ms": at_ms },
    h("span", null, relative(at_ms)),
    h("span.exact", null, exact(at_ms)),
  );
}

/** Bring every moment on the page up to date. */
export function tick() {
  for (const place of document.querySelectorAll("time[data-ms]")) {
    const words = relative(Number(place.getAttribute("data-ms")));
    const shown = place.firstElementChild;
    if (shown && shown.textContent !== words) shown.textContent = words;
  }
}

/** @param {number} bytes */
export function bytes(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`;
  if (bytes < 1024 ** 3) return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
  return `${(bytes / 1024 ** 3).toFixed(2)} GiB`;
}

/** @param {number} number @param {string} one @param {string} [many] */
export function plural(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** What each scope lets an operator do; the names are those of commands and files. */
export const SCOPES = {
  "operator.read": "see what happens",
  "operator.write": "act: invoke commands of nodes",
  "operator.approvals": "decide what an agent asks",
  "operator.pairing": "decide about devices",
  "operator.admin": "everything, the configuration included",
};

/** @param {string} scope */
export function scopeName(scope) {
  return scope.replace(/^operator\./, "");
}

/** Source: protocol fact, what implies what. @type {Record<string, string[]>} */
const IMPLIED = { "operator.write": ["operator.read"] };

/**
 * Tell whether scopes hold one, itself or by what they imply.
 *
 * @param {readonly string[]} held
 * @param {string} scope
 */
export function holds(held, scope) {
  return held.some((one) => one === scope || one === "operator.admin" || IMPLIED[one]?.includes(scope));
}

/** @type {Record<string, string>} why a connection is local, or is not */
const LOCALITY = {
  loopback: "local: it comes from the gateway's own machine",
  "not-loopback": "not local: it comes from another machine, or through a container's network",
  forwarded: "not local: a trusted proxy forwarded it",
  "untrusted-proxy": "not local: a proxy that the gateway does not trust forwarded it",
  host: "not local: the address it was called by is none of this machine",
  origin: "not local: the page comes from elsewhere",
  "other-uid": "not local: it belongs to another user of the gateway's machine, mostly a proxy that forwards no client address",
};

/** @param {{local?: boolean, why?: string} | undefined} locality */
export function locality(locality) {
  if (!locality) return "not known";
  return LOCALITY[locality.why ?? ""] ?? (locality.local ? "local" : "not local");
}

/** @type {Record<string, string>} how a device was let in */
const ROADS = {
  owner: "by an operator",
  silent: "by itself, as a local client with the secret",
  "published-port": "by the rule for published ports",
  bootstrap: "by an invitation",
};

/** @param {{approvedVia?: string, approvedBy?: string}} device @returns {string} by whom, empty if that is not known */
export function approvedBy({ approvedVia, approvedBy }) {
  if (!approvedVia) return "";
  const road = ROADS[approvedVia] ?? `by ${approvedVia}`;
  return approvedBy ? `${road} (${approvedBy})` : road;
}

/**
 * Return a name that somebody gave himself without what would turn or hide the words around it.
 *
 * @param {unknown} name
 */
export function plain(name) {
  return String(name).replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "");
}

/** @param {string} id @returns {string} an id that is too long to read, shortened */
export function short(id) {
  return id.length > 16 ? `${id.slice(0, 12)}…` : id;
}
