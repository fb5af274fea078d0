// @ts-check
/** Health: whether all is well, what is in force and what waits, and how busy it is. */
import { Series } from "./charts.js";
import { announce, h } from "./dom.js";
import { follow } from "./follow.js";
import { link } from "./link.js";
import { ask, command, empty, facts, problem, prose } from "./parts.js";
import { lasting, moment, now, plural, tellTime } from "./words.js";

/** @type {Record<string, any> | null} */
let vitals = null;
/** @type {Record<string, any> | null} */
let status = null;
/** @type {unknown} */
let failed = null;
const LOOK_EVERY_MS = 2_000;

const charts = { connections: new Series(), requests: new Series(), refusals: new Series(), lag: new Series() };
/** @type {Map<string, Series>} how many a second, by the code of the refusal */
const reasons = new Map();

/** @param {Record<string, number>} counts */
function total(counts) {
  return Object.values(counts).reduce((sum, one) => sum + one, 0);
}

/** @param {Record<string, any>} told */
function note(told) {
  const before = vitals;
  tellTime(told["ts"]);
  charts.connections.add(total(told["connections"]));
  charts.lag.add(told["eventLoop"].lagMs);
  if (before && before["uptimeMs"] <= told["uptimeMs"]) {
    const passed_s = Math.max(0.001, (told["uptimeMs"] - before["uptimeMs"]) / 1000);
    /** @param {number} grown */
    const rate = (grown) => Math.max(0, Math.round((grown / passed_s) * 10) / 10);
    charts.requests.add(rate(told["requests"] - before["requests"]));
    for (const [code, count] of Object.entries(told["refusals"])) {
      if (!reasons.has(code)) reasons.set(code, new Series(charts.refusals));
      reasons.get(code)?.add(rate(count - (before["refusals"][code] ?? 0)));
    }
    charts.refusals.add(rate(total(told["refusals"]) - total(before["refusals"])));
  }
  vitals = told;
}

/** @type {import("./shell.js").View} */
export const health = {
  open(refresh) {
    return follow(async () => {
      try {
        const [told, more] = await Promise.all([link.ask("gateway.vitals"), link.ask("status")]);
        note(told);
        [status, failed] = [more.gateway, null];
      } catch (error) {
        failed = error;
      }
      refresh();
    }, LOOK_EVERY_MS);
  },
  draw() {
    const head = h("div.head", null, h("h1", { id: "title", tabindex: -1 }, "Health"), link.may("operator.admin") && h("button", { type: "button", onclick: restart }, "Restart the gateway"));
    if (!vitals || !status) return [head, failed !== null && problem(failed), h("div.card", null, empty("Looking …"))];
    return [head, failed !== null && problem(failed), verdict(vitals), waits(vitals), tiles(vitals), h("section.card", { "aria-labelledby": "refusals-title" }, h("header", null, h("h2", { id: "refusals-title" }, "Turned away, by reason")), byReason(vitals)), inForce(vitals, status)];
  },
};

const NAMES = { store: "the device store", "store-write": "writing to the device store", config: "the configuration" };

/** @param {Record<string, any>} told */
function verdict(told) {
  if (told["ready"]) return h("div.note.good", { role: "status" }, h("p", null, h("strong", null, "Ready."), " The store can be written, and the configuration on file is in force."));
  const names = told["failing"].map((/** @type {string} */ name) => NAMES[/** @type {keyof typeof NAMES} */ (name)] ?? name);
  return h(
    "div.note.bad.stack",
    { role: "alert" },
    h("p", null, h("strong", null, "Not ready: "), names.join(", "), "."),
    told["problems"].map((/** @type {any} */ one) => h("div", null, h("p", null, h("code", null, one.where), ": ", one.problem), one.remedy && h("p", null, prose(one.remedy)))),
    !told["problems"].length && h("p", null, "What exactly is told to admins, and in the gateway's log."),
    command("openclaw doctor", "gateway-host"),
  );
}

/** @param {Record<string, any>} told */
function waits(told) {
  const keys = told["restartRequired"];
  if (!keys.length) return null;
  return h(
    "div.note.warn",
    null,
    h("p", null, h("strong", null, "Waits for a restart: "), keys.map((/** @type {string} */ key, /** @type {number} */ index) => [index > 0 && ", ", h("code", null, key)])),
    command("openclaw gateway restart", "gateway-host"),
  );
}

/** @param {string} name @param {string} figure @param {import("./dom.js").Child} chart @param {string} more */
function tile(name, figure, chart, more) {
  return h("div.card.tile", null, h("h2.small.muted", null, name), h("div.figure", null, figure), h("div.small.muted", null, more), chart);
}

/** @param {Record<string, any>} told */
function tiles(told) {
  const { connections, eventLoop, store } = told;
  return h(
    "div.tiles",
    null,
    tile("Connections", `${total(connections)}`, charts.connections.draw("Connections"), `${plural(connections.operator, "operator")}, ${plural(connections.node, "node")}`),
    tile("Requests a second", `${charts.requests.last}`, charts.requests.draw("Requests a second"), `${told["requests"]} since the start`),
    tile("Turned away a second", `${charts.refusals.last}`, charts.refusals.draw("Turned away a second"), `${total(told["refusals"])} since the start`),
    tile("Event loop late by", `${eventLoop.lagMs} ms`, charts.lag.draw("Lag of the event loop, ms"), `at most ${eventLoop.maxLagMs} ms in the last minute`),
    tile("Devices", `${store.pairedDevices}`, null, `${store.pendingRequests} waiting; ${plural(store.writes, "write")}${store.writes ? `, ${((store.writeSeconds / store.writes) * 1000).toFixed(1)} ms each` : ""}`),
    tile("Up for", lasting(told["uptimeMs"]), null, `version ${told["version"]}`),
  );
}

/** @param {Record<string, any>} told */
function byReason(told) {
  const found = Object.entries(/** @type {Record<string, number>} */ (told["refusals"])).sort((one, other) => other[1] - one[1]);
  if (!found.length) return empty("Nobody was turned away since the start.");
  return h(
    "ul.reasons.inner",
    null,
    found.map(([code, count]) =>
      h(
        "li",
        { key: code },
        h("span.mono.small", null, code),
        (reasons.get(code) ?? new Series(charts.refusals)).draw(`${code}, a second`),
        h("span.number", null, count, h("span.small.muted", null, " since the start")),
      ),
    ),
  );
}

/** @param {Record<string, any>} told @param {Record<string, any>} more */
function inForce(told, more) {
  const run = more["process"];
  return h(
    "section.card",
    { "aria-labelledby": "force-title" },
    h("header", null, h("h2", { id: "force-title" }, "In force")),
    h(
      "div.inner",
      null,
      facts([
        ["Configuration", h("span", null, more["configPath"] ? h("code", null, more["configPath"]) : "one file", told["configValid"] ? ", as it is on file" : ", an earlier version: what is on file cannot be used")],
        ["Problem on file", more["configProblem"]],
        ["What helps", more["configRemedy"] && prose(more["configRemedy"])],
        ["Authentication", more["auth"].mode],
        ["Fingerprint of the secret", more["auth"].secretFingerprint && h("code", null, more["auth"].secretFingerprint)],
        ["Encryption", more["tls"]?.enabled ? `TLS, ${more["tls"].fingerprint ?? ""}` : "none by the gateway itself"],
        ["Process", run && `${run.pid}, of user ${run.uid}, port ${run.port}`],
        ["State", run && h("code", null, run.stateDir)],
        ["Started", moment(now() - told["uptimeMs"])],
        ["Slow readers", `${plural(told["outbox"].dropped, "event")} missed, ${plural(told["outbox"].overflows, "connection")} ended`],
      ]),
    ),
  );
}

function restart() {
  return ask({
    title: "Restart the gateway?",
    body: h("p", null, "Every connection is closed and comes back by itself, this one too. It takes about a second."),
    action: "Restart",
    work: async () => {
      await link.ask("gateway.restart.request", {});
      announce("The gateway restarts");
    },
  });
}
