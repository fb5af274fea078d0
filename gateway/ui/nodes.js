// @ts-check
/** Nodes: which are there, what they offer, and asking one to do it. */
import { announce, h } from "./dom.js";
import { follow } from "./follow.js";
import { link } from "./link.js";
import { ask, command, empty, facts, items, problem } from "./parts.js";
import { moment, plain, plural, short } from "./words.js";

/** @typedef {Record<string, any>} Entry */

/** @type {Entry[] | null} */
let found = null;
/** @type {Entry[]} */
let waiting = [];
/** @type {unknown} */
let failed = null;
/** @type {() => void} */
let refresh = () => {};
let chosen = "";
/** @type {{words: string, text: string, bad: boolean} | null} */
let outcome = null;
let asking = false;

async function load() {
  try {
    const pairing = link.may("operator.pairing") ? link.ask("node.pair.list") : Promise.resolve({ pending: [] });
    const [listed, pending] = await Promise.all([link.ask("node.list"), pairing]);
    [found, waiting, failed] = [listed.nodes, pending.pending, null];
  } catch (error) {
    failed = error;
  }
  refresh();
}

/** @param {Entry} node @returns {string} */
function nameOf(node) {
  return plain(node["displayName"] ?? short(node["nodeId"]));
}

/** @type {import("./shell.js").View} */
export const nodes = {
  open(changed) {
    refresh = changed;
    return follow(load, 15_000, /^node\.|^presence$|^device\.pair\./);
  },
  draw() {
    const head = h("div.head", null, h("h1", { id: "title", tabindex: -1 }, "Nodes"));
    if (found === null) return [head, failed === null ? h("div.card", null, empty("Looking …")) : problem(failed)];
    const all = found;
    const ready = all.filter((one) => one["connected"] && one["commands"]?.length);
    return [
      head,
      failed !== null && problem(failed),
      waiting.length > 0 &&
        h(
          "section.card.wants",
          { "aria-labelledby": "surfaces-title" },
          h("header", null, h("h2", { id: "surfaces-title" }, "Commands that wait for approval")),
          h("ul.items", null, waiting.map(surface)),
        ),
      h(
        "section.card",
        { "aria-labelledby": "nodes-title" },
        h("header", null, h("h2", { id: "nodes-title" }, all.length ? `Nodes (${all.length})` : "Nodes")),
        all.length
          ? items("nodes", all, node, refresh)
          : empty("No node is paired. Start one on another machine with ", h("code", null, "openclaw node run"), "; it then waits under ", h("a", { href: "#devices" }, "Devices"), "."),
      ),
      h("section.card", { "aria-labelledby": "invoke-title" }, h("header", null, h("h2", { id: "invoke-title" }, "Invoke a command")), invokeForm(ready)),
    ];
  },
};

/** @param {Entry} one */
function surface(one) {
  return h(
    "li.pending",
    { key: one["requestId"] },
    h(
      "div.device-grid",
      null,
      h(
        "div.stack",
        null,
        h("div.row", null, h("span.id", null, one["requestId"]), h("span.name", null, nameOf(one))),
        facts([
          ["Offers", chips(one["commands"])],
          ["Abilities", chips(one["caps"])],
          ["Platform", one["platform"]],
          ["Since", moment(one["ts"])],
        ]),
      ),
      h(
        "div.acts",
        null,
        h("button.primary", { type: "button", onclick: () => decide(one, "approve"), "aria-label": `Approve the commands of ${nameOf(one)}` }, "Approve"),
        h("button", { type: "button", onclick: () => decide(one, "reject"), "aria-label": `Reject the commands of ${nameOf(one)}` }, "Reject"),
      ),
    ),
  );
}

/** @param {Entry} one @param {"approve" | "reject"} verb */
function decide(one, verb) {
  const approve = verb === "approve";
  return ask({
    title: approve ? `Let ${nameOf(one)} be asked for these?` : `Keep the commands of ${nameOf(one)} hidden?`,
    body: [h("p", null, approve ? "Operators who may write can then invoke them." : "The node stays connected, without commands, until it offers others."), chips(one["commands"])],
    action: approve ? "Approve" : "Reject",
    work: async () => {
      await link.ask(`node.pair.${verb}`, { requestId: one["requestId"] });
      announce(approve ? "The commands are approved" : "The commands are rejected");
      await load();
    },
  });
}

/** @param {string[] | undefined} names */
function chips(names) {
  return names?.length ? h("span.chips", null, names.map((name) => h("span.chip.mono", null, name))) : null;
}

/** @param {Entry} one */
function node(one) {
  return h(
    "li",
    { key: one["nodeId"] },
    h(
      "div.row",
      null,
      h("span.dot", { class: one["connected"] ? "on" : null }),
      h("span.unseen", null, one["connected"] ? "connected: " : "not connected: "),
      h("span.name", null, nameOf(one)),
      one["approvalState"] === "pending-approval" && h("span.chip.warn", null, "commands wait"),
      h("span.muted.small.grow", null, [one["platform"], one["remoteIp"]].filter(Boolean).join(", ")),
      h("span.small", null, one["connected"] ? ["since ", moment(one["connectedAtMs"])] : ["last seen ", moment(one["lastSeenAtMs"] ?? one["lastConnectedAtMs"], "not yet")]),
    ),
    h(
      "details",
      null,
      h("summary", null, plural(one["commands"]?.length ?? 0, "command"), h("span.unseen", null, ` of ${nameOf(one)}`)),
      facts([
        ["Commands", chips(one["commands"]) ?? h("span.muted", null, "none that may be invoked now")],
        ["Offered, not approved", chips(one["pendingDeclaredCommands"])],
        ["Abilities", chips(one["caps"])],
        ["Version", one["version"]],
        ["Model", one["modelIdentifier"]],
        ["Node id", h("code", null, one["nodeId"])],
      ]),
    ),
  );
}

/** @param {Entry[]} ready */
function invokeForm(ready) {
  if (!link.may("operator.write")) return h("div.inner", null, h("p", null, "Invoking needs ", h("strong", null, "write"), ", which this browser was not given."), !link.pendingUpgrade && h("button", { type: "button", onclick: () => void link.askForMore() }, "Ask for more"));
  if (!ready.length) return empty("No connected node has a command that may be invoked.");
  const node = ready.find((one) => one["nodeId"] === chosen) ?? /** @type {Entry} */ (ready[0]);
  return h(
    "form.inner",
    { key: "invoke", onsubmit: (/** @type {SubmitEvent} */ event) => void invoke(event) },
    h(
      "div.invoke",
      null,
      h(
        "div",
        null,
        h("label", { for: "node" }, "Node"),
        h(
          "select",
          { id: "node", name: "node", onchange: (/** @type {Event} */ event) => ((chosen = /** @type {HTMLSelectElement} */ (event.currentTarget).value), refresh()) },
          ready.map((one) => h("option", { key: one["nodeId"], value: one["nodeId"] }, nameOf(one))),
        ),
      ),
      h("div", null, h("label", { for: "command" }, "Command"), h("select", { id: "command", name: "command", key: `commands ${node["nodeId"]}` }, node["commands"].map((/** @type {string} */ name) => h("option", { key: name, value: name }, name)))),
      h("div.whole", null, h("label", { for: "params" }, "Parameters, as JSON"), h("textarea", { id: "params", name: "params", spellcheck: "false" }, "{}")),
      h("div", null, h("label", { for: "timeout" }, "Wait at most, in seconds"), h("input", { id: "timeout", name: "timeout", type: "number", min: 1, max: 600, value: 30 })),
      h("div.row.whole", null, h("button.primary", { type: "submit", disabled: asking }, asking ? "Asking …" : "Invoke")),
    ),
    outcome !== null && h("div", { role: "status" }, h("p", { class: outcome.bad ? "problem" : null }, outcome.words), outcome.text && h("pre.result", { tabindex: 0 }, outcome.text)),
    h("details", null, h("summary", null, "The same on the command line"), command(`openclaw nodes invoke --node ${node["nodeId"]} --command NAME --params '{}'`)),
  );
}

/** @param {SubmitEvent} event */
async function invoke(event) {
  event.preventDefault();
  const form = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget));
  const name = String(form.get("command"));
  const timeoutMs = Number(form.get("timeout")) * 1000;
  const began = performance.now();
  asking = true;
  outcome = null;
  refresh();
  try {
    const said = String(form.get("params") ?? "").trim();
    const params = said ? JSON.parse(said) : undefined;
    // A key of its own for each click: asking twice is meant twice. (randomUUID needs a secure context.)
    const idempotencyKey = Array.from(crypto.getRandomValues(new Uint32Array(4)), (one) => one.toString(36)).join("-");
    const told = await link.ask("node.invoke", { nodeId: form.get("node"), command: name, params, timeoutMs, idempotencyKey }, timeoutMs + 5_000);
    outcome = { words: `${name} answered in ${Math.round(performance.now() - began)} ms`, text: JSON.stringify(told.payload ?? null, null, 2), bad: false };
  } catch (error) {
    const told = /** @type {any} */ (error);
    const words = error instanceof SyntaxError ? `The parameters are no JSON: ${error.message}` : String(told?.message ?? error);
    outcome = { words, text: told?.details?.nodeError ? JSON.stringify(told.details.nodeError, null, 2) : "", bad: true };
  }
  asking = false;
  announce(outcome.words);
  refresh();
}
