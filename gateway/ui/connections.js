// @ts-check
/** Connections: who is here now, who was turned away and why, who is locked out. */
import { announce, h } from "./dom.js";
import { follow } from "./follow.js";
import { link } from "./link.js";
import { ask, command, empty, facts, items, problem, prose, scopeChips } from "./parts.js";
import { bytes, lasting, locality, moment, plain, plural, short } from "./words.js";

/** @typedef {Record<string, any>} Entry */

/** @type {Entry[] | null} */
let connected = null;
/** @type {Entry[] | null} */
let refusals = null;
/** @type {Entry[]} */
let lockouts = [];
/** @type {unknown} */
let failed = null;
/** @type {() => void} */
let refresh = () => {};
const LAST_REFUSALS = 30;

/** @type {import("./shell.js").View} */
export const connections = {
  open(changed) {
    refresh = changed;
    return follow(
      async () => {
        try {
          const [here, turned, locked] = await Promise.all([
            link.ask("gateway.connections.list"),
            link.ask("gateway.refusals.list", { limit: LAST_REFUSALS }),
            link.ask("gateway.lockouts.list"),
          ]);
          [connected, refusals, lockouts, failed] = [here.connections, turned.refusals, locked.lockouts, null];
        } catch (error) {
          failed = error;
        }
        refresh();
      },
      3_000,
      /^presence$/,
    );
  },
  draw() {
    const head = h("div.head", null, h("h1", { id: "title", tabindex: -1 }, "Connections"));
    if (connected === null || refusals === null) return [head, failed === null ? h("div.card", null, empty("Looking …")) : problem(failed)];
    return [
      head,
      failed !== null && problem(failed),
      h(
        "section.card",
        { "aria-labelledby": "here-title" },
        h("header", null, h("h2", { id: "here-title" }, `Here now (${connected.length})`)),
        items("connections", connected, connection, refresh),
      ),
      lockouts.length > 0 &&
        h(
          "section.card.wants",
          { "aria-labelledby": "locked-title" },
          h("header", null, h("h2", { id: "locked-title" }, `Locked out (${lockouts.length})`)),
          h("ul.items", null, lockouts.map(lockout)),
        ),
      h(
        "section.card",
        { "aria-labelledby": "refused-title" },
        h("header", null, h("h2", { id: "refused-title" }, "Turned away lately")),
        refusals.length
          ? h("ul.items", null, refusals.map(refusal))
          : empty("Nobody was turned away. Who is, appears here with what the gateway saw, why, and what helps."),
      ),
    ];
  },
};

/** @param {Entry} one */
function connection(one) {
  const { traffic, saw = {} } = one;
  const name = plain(one["label"] ?? one["displayName"] ?? one["client"]);
  return h(
    "li",
    { key: one["connId"] },
    h(
      "div.row",
      null,
      h("span.name", null, name),
      h("span.chip", null, one["role"]),
      h(one["locality"].local ? "span.chip.new" : "span.chip", null, one["locality"].local ? "local" : "not local"),
      one["own"] && h("span.chip.new", null, "this page"),
      h("span.muted.small.grow", null, "from ", h("span.mono", null, one["address"]), ", since ", moment(one["connectedAtMs"])),
      h("span.small", null, `${plural(traffic.requests, "request")}, ${bytes(traffic.receivedBytes)} in, ${bytes(traffic.sentBytes)} out`),
    ),
    h(
      "details",
      null,
      h("summary", null, "Why, and how", h("span.unseen", null, ` of ${name}`)),
      facts([
        ["Local or not", locality(one["locality"])],
        ["Let in by", one["method"]],
        ["Scopes", one["scopes"].length ? scopeChips(one["scopes"]) : null],
        ["Client", `${one["client"]}, protocol ${one["protocol"]}`],
        ["Device", one["deviceId"] && h("code", null, one["deviceId"])],
        ["Socket from", saw.peer],
        ["Forwarded for", saw.forwardedFor],
        ["Host", saw.host],
        ["Page of", saw.origin],
        ["User, as the proxy says", saw.user],
        ["Browser or program", saw.userAgent],
        ["Events", `${traffic.events} sent${traffic.droppedEvents ? `, ${traffic.droppedEvents} missed: it reads too slowly` : ""}`],
        ["Not taken yet", traffic.unsentBytes ? bytes(traffic.unsentBytes) : null],
        ["Connection", h("code", null, one["connId"])],
      ]),
    ),
  );
}

/** @param {Entry} one */
function lockout(one) {
  return h(
    "li",
    { key: one["key"] },
    h(
      "div.row.apart",
      null,
      h("span", null, h("span.name", null, one["name"]), h("span.muted", null, ` after wrong tries with ${one["secret"]}, free in ${lasting(one["remainingMs"])}`)),
      link.may("operator.admin") && h("button", { type: "button", onclick: () => lift(one), "aria-label": `Lift the lockout of ${one["name"]}` }, "Lift"),
    ),
  );
}

/** @param {Entry} one */
function lift(one) {
  return ask({
    title: "Lift this lockout?",
    body: h("p", null, h("strong", null, one["name"]), " may try secrets again at once."),
    action: "Lift",
    work: async () => {
      await link.ask("gateway.lockouts.clear", { key: one["key"] });
      announce("The lockout is lifted");
    },
  });
}

/** @param {Entry} one */
function refusal(one) {
  const saw = one["saw"] ?? {};
  return h(
    "li",
    { key: `${one["connId"]} ${one["closeReason"]}` },
    h(
      "div.row",
      null,
      h("span.name.mono", null, one["code"]),
      one["requestId"] && h("span.chip.new", null, one["requestId"]),
      one["count"] > 1 && h("span.chip", null, `${one["count"]} times`),
      h("span.muted.small.grow", null, "from ", h("span.mono", null, saw.client ?? "unknown")),
      h("span.small", null, moment(one["lastTs"] ?? one["ts"])),
    ),
    one["sentence"] && h("p.small", null, prose(one["sentence"])),
    h(
      "details",
      null,
      h("summary", null, "What it saw, and what helps", h("span.unseen", null, ` for ${one["code"]} from ${saw.client ?? "unknown"}`)),
      facts([
        ["Told the client", one["closeReason"]],
        ["Client", one["client"] && `${one["client"].id} / ${one["client"].mode}`],
        ["Credential", one["authenticated"] ? "accepted" : "not accepted"],
        ["Local or not", saw.locality && locality(saw.locality)],
        ["Socket from", saw.peer],
        ["Forwarded for", saw.forwardedFor],
        ["Host", saw.host],
        ["Page of", saw.origin],
        ["Device", one["deviceId"] && h("code", null, short(one["deviceId"]))],
      ]),
      one["command"] && command(one["command"], "gateway-host"),
      one["reason"] === "blocked" && link.may("operator.pairing") && h("button", { type: "button", onclick: () => unblock(one), "aria-label": `Unblock ${one["deviceId"]}` }, "Unblock"),
    ),
  );
}

/** A device that was never paired is in no list: only here it is seen, when it knocks. @param {Entry} one */
function unblock(one) {
  return ask({
    title: "Unblock this device?",
    body: h("p", null, h("code", null, one["deviceId"]), " comes back as it was, or may ask to be let in."),
    action: "Unblock",
    work: async () => {
      await link.ask("device.pair.unblock", { deviceId: one["deviceId"] });
      announce("The device is not blocked any more");
    },
  });
}
