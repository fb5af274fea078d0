// @ts-check
/** Devices: who waits, who is in, and every decision about them. */
import { announce, h } from "./dom.js";
import { follow } from "./follow.js";
import { invite, outstanding } from "./invitations.js";
import { link } from "./link.js";
import { ask, empty, facts, items, problem, scopeChips } from "./parts.js";
import { approvedBy, lasting, locality, moment, now, plain, short } from "./words.js";

/** @typedef {Record<string, any>} Device */

/** @type {{pending: Device[], paired: Device[]} | null} */
let found = null;
/** @type {Device[]} */
let invitations = [];
/** @type {unknown} */
let failed = null;
let filter = "";
/** @type {() => void} */
let refresh = () => {};

async function load() {
  try {
    const admin = link.may("operator.admin");
    const [told, invited] = await Promise.all([link.ask("device.pair.list"), admin ? link.ask("device.pair.invitations.list") : { invitations: [] }]);
    const fresh = told.pending.filter((/** @type {Device} */ one) => found && !found.pending.some((old) => old["requestId"] === one["requestId"]));
    for (const one of fresh) announce(`A device asks to be let in: ${nameOf(one)}, code ${one["requestId"]}`);
    [found, invitations, failed] = [told, invited.invitations, null];
  } catch (error) {
    failed = error;
  }
  refresh();
}

/** @param {Device} device @returns {string} */
function nameOf(device) {
  return plain(device["label"] ?? device["displayName"] ?? device["clientId"] ?? short(device["deviceId"]));
}

/** @type {import("./shell.js").View} */
export const devices = {
  open(changed) {
    refresh = changed;
    // Requests end by themselves, and last-seen times move without an event. Who waits is told by the
    // title of a hidden page too.
    return follow(load, 30_000, /^device\.pair\.|^node\.pair\.|^presence$/, true);
  },
  count: () => found?.pending.length ?? 0,
  draw() {
    const head = h("div.head", null, h("h1", { id: "title", tabindex: -1 }, "Devices"), link.may("operator.admin") && h("button", { type: "button", onclick: () => invite(load) }, "Invite a device"));
    // One place until all is known: what comes later must not push away what is read.
    if (found === null) return [head, failed === null ? h("div.card", null, empty("Looking …")) : problem(failed)];
    const { pending, paired } = found;
    const shown = [...paired.filter(isOwn), ...paired.filter((one) => !isOwn(one))].filter((one) => matches(one, filter));
    return [
      head,
      failed !== null && problem(failed),
      !link.may("operator.admin") && ownOnly(),
      h(
        "section.card",
        { "aria-labelledby": "waiting-title", class: pending.length ? "wants" : null },
        h("header", null, h("h2", { id: "waiting-title" }, "Waiting for approval")),
        pending.length
          ? items("pending", pending, pendingItem, refresh)
          : empty("Nobody waits. A device that is turned away appears here at once, with the code that it shows."),
      ),
      h(
        "section.card",
        { "aria-labelledby": "paired-title" },
        h("header.row.apart", null, h("h2", { id: "paired-title" }, `Paired${paired.length ? ` (${paired.length})` : ""}`), paired.length > 6 && search()),
        shown.length
          ? items("paired", shown, pairedItem, refresh)
          : empty(paired.length ? "No device has that in its name." : "No device is paired yet. Invite one, or let one knock and approve it."),
      ),
      outstanding(invitations, load),
    ];
  },
};

/** A device that is no admin sees and decides about itself alone. */
function ownOnly() {
  return h(
    "div.note",
    null,
    h("p", null, "This browser is no admin, so it sees itself alone here."),
    !link.pendingUpgrade && h("button", { type: "button", onclick: () => void link.askForMore() }, "Ask for more"),
  );
}

/** How many nodes have commands that wait for their own approval. */
export function waitingNodes() {
  return found?.paired.filter((one) => one["pendingNodeSurface"]).length ?? 0;
}

function search() {
  return h("input", {
    type: "search",
    name: "filter",
    "aria-label": "Find a device",
    placeholder: "Find a device",
    value: filter,
    oninput: (/** @type {Event} */ event) => {
      filter = /** @type {HTMLInputElement} */ (event.currentTarget).value;
      refresh();
    },
  });
}

/** @param {Device} device @param {string} words */
function matches(device, words) {
  return [nameOf(device), device["deviceId"], device["platform"], device["clientId"]].some((text) => String(text ?? "").toLowerCase().includes(words.toLowerCase()));
}

const REASONS = {
  "not-paired": "new device",
  "role-upgrade": "asks for another role",
  "scope-upgrade": "asks for more",
  "metadata-upgrade": "changed its platform",
  "stale-token": "known device",
};

/** @param {Device} one */
function pendingItem(one) {
  const known = one["approvedScopes"];
  return h(
    "li.pending",
    { key: one["requestId"] },
    h(
      "div.device-grid",
      null,
      h(
        "div.stack",
        null,
        h("div.row", null, h("span.id", null, one["requestId"]), h("span.chip", null, REASONS[/** @type {keyof typeof REASONS} */ (one["reason"])] ?? one["reason"] ?? "new device"), one["staleToken"] && h("span.chip.warn", null, "lost its token")),
        h("div", null, h("span.name", null, nameOf(one)), " ", h("span.muted", null, `as ${(one["roles"] ?? [one["role"]]).join(", ")}`)),
        facts([
          ["Asks for", one["scopes"]?.length ? scopeChips(one["scopes"], known ?? []) : null],
          ["Has already", known && scopeChips(known)],
          ["Platform", one["approvedPlatform"] ? `${one["platform"]}, was ${one["approvedPlatform"]}` : one["platform"]],
          ["From", [one["remoteIp"] ?? "this machine", one["why"] && ` (${locality({ why: one["why"] })})`]],
          ["First seen", moment(one["firstSeenAtMs"] ?? one["ts"])],
          ["Ends", h("span", null, `in ${lasting(one["expiresAtMs"] - now())}, unless it knocks again`)],
          ["Client", one["clientId"]],
        ]),
      ),
      h(
        "div.acts",
        null,
        h("button.primary", { type: "button", onclick: () => approve(one), "aria-label": `Approve ${nameOf(one)}, ${one["requestId"]}` }, "Approve"),
        h("button", { type: "button", onclick: () => reject(one), "aria-label": `Reject ${nameOf(one)}, ${one["requestId"]}` }, "Reject"),
        h("button.danger", { type: "button", onclick: () => block(one), "aria-label": `Block ${nameOf(one)}` }, "Block"),
      ),
    ),
  );
}

/** @param {Device} one */
function pairedItem(one) {
  const roles = one["roles"] ?? [];
  const commands = one["pendingNodeSurface"];
  return h(
    "li",
    { key: one["deviceId"] },
    h(
      "div.device-grid",
      null,
      h(
        "div",
        null,
        h(
          "div.row",
          null,
          h("span.dot", { class: one["connected"] ? "on" : null }),
          h("span.unseen", null, one["connected"] ? "connected: " : "not connected: "),
          h("span.name", null, nameOf(one)),
          roles.map((/** @type {string} */ role) => h("span.chip", null, role)),
          one["blocked"] && h("span.chip.bad", null, "blocked"),
          isOwn(one) && h("span.chip.new", null, "this browser"),
          commands && h("a.chip.warn", { href: "#nodes" }, "its commands wait for approval"),
        ),
        h("p.small", null, one["connected"] ? "Connected now" : ["Last seen ", moment(one["lastSeenAtMs"], "not yet")], " · ", scopeChips(one["scopes"])),
        details(one),
      ),
      acts(one),
    ),
  );
}

/** @param {Device} one */
function details(one) {
  return h(
    "details",
    null,
    h("summary", null, "Details", h("span.unseen", null, ` of ${nameOf(one)}`)),
    facts([
      ["Name it gave itself", one["displayName"]],
      ["Device id", h("code", null, one["deviceId"])],
      ["Platform", [one["platform"], one["deviceFamily"]].filter(Boolean).join(", ")],
      ["Client", [one["clientId"], one["clientMode"]].filter(Boolean).join(" / ")],
      ["Last address", one["remoteIp"]],
      ["Approved", h("span", null, moment(one["approvedAtMs"]), ` ${approvedBy(one)}`)],
      ["Paired since", moment(one["createdAtMs"])],
      ...(one["tokens"] ?? []).map(tokenRow(one)),
    ]),
  );
}

/** @param {Device} one */
function acts(one) {
  return h(
    "div.acts",
    null,
    h("button", { type: "button", onclick: () => rename(one), "aria-label": `Rename ${nameOf(one)}` }, "Rename"),
    one["blocked"]
      ? h("button", { type: "button", onclick: () => unblock(one), "aria-label": `Unblock ${nameOf(one)}` }, "Unblock")
      : h("button", { type: "button", onclick: () => block(one), "aria-label": `Block ${nameOf(one)}` }, "Block"),
    h("button.danger", { type: "button", onclick: () => remove(one), "aria-label": `Remove ${nameOf(one)}` }, "Remove"),
  );
}

/** @param {Device} device @returns {(token: any) => [string, import("./dom.js").Child]} */
function tokenRow(device) {
  return (token) => [
    `Token as ${token.role}`,
    h(
      "div.stack",
      null,
      h("div", null, scopeChips(token.scopes)),
      h("div", null, token.revokedAtMs ? ["revoked ", moment(token.revokedAtMs)] : ["issued ", moment(token.rotatedAtMs ?? token.createdAtMs), "; used ", moment(token.lastUsedAtMs, "not yet")]),
      h(
        "div.row",
        null,
        h("button", { type: "button", onclick: () => rotate(device, token.role), "aria-label": `Rotate the ${token.role} token of ${nameOf(device)}` }, token.revokedAtMs ? "Give a new one" : "Rotate"),
        !token.revokedAtMs && h("button.danger", { type: "button", onclick: () => revoke(device, token.role), "aria-label": `Revoke the ${token.role} token of ${nameOf(device)}` }, "Revoke"),
      ),
    ),
  ];
}

/** @param {Device} device */
function isOwn(device) {
  return device["deviceId"] === link.ownDeviceId;
}

/** @param {Device} one */
function approve(one) {
  return ask({
    title: `Approve ${nameOf(one)}?`,
    body: [
      h("p", null, "Only if the device shows this very code:"),
      h("output.code-large", null, one["requestId"]),
      facts([
        ["As", (one["roles"] ?? [one["role"]]).join(", ")],
        ["It will hold", one["scopes"]?.length ? scopeChips([...new Set([...(one["approvedScopes"] ?? []), ...one["scopes"]])], one["approvedScopes"] ?? []) : "no scopes"],
        ["From", one["remoteIp"] ?? "this machine"],
      ]),
    ],
    action: "Approve",
    work: () => decided("device.pair.approve", { requestId: one["requestId"] }, `${nameOf(one)} is approved`),
  });
}

/** @param {Device} one */
function reject(one) {
  return ask({
    title: `Reject ${nameOf(one)}?`,
    body: h("p", null, "The request is forgotten. A page that waits is told so and asks no more by itself; a program that keeps trying asks again: to end that, block it."),
    action: "Reject",
    work: () => decided("device.pair.reject", { requestId: one["requestId"] }, `${nameOf(one)} is rejected`),
  });
}

/** @param {Device} one */
function block(one) {
  return ask({
    title: `Block ${nameOf(one)}?`,
    body: h("p", null, isOwn(one) ? "This is the browser you are looking at: you lock yourself out of this page." : "It is disconnected, and nothing of it is let in or recorded until the block is lifted."),
    action: "Block",
    danger: true,
    work: () => decided("device.pair.block", { deviceId: one["deviceId"] }, `${nameOf(one)} is blocked`),
  });
}

/** @param {Device} one */
function unblock(one) {
  return ask({
    title: `Unblock ${nameOf(one)}?`,
    body: h("p", null, "It comes back as it was, or may ask again."),
    action: "Unblock",
    work: () => decided("device.pair.unblock", { deviceId: one["deviceId"] }, `${nameOf(one)} is not blocked any more`),
  });
}

/** @param {Device} one */
function remove(one) {
  return ask({
    title: `Remove ${nameOf(one)}?`,
    body: h("p", null, isOwn(one) ? "This is the browser you are looking at: it is signed out at once." : "It is disconnected and forgotten, with its tokens. It may ask to be paired again."),
    action: "Remove",
    danger: true,
    work: () => decided("device.pair.remove", { deviceId: one["deviceId"] }, `${nameOf(one)} is removed`),
  });
}

/** @param {Device} one */
function rename(one) {
  return ask({
    title: `Rename ${nameOf(one)}`,
    body: h("p", null, h("label", { for: "label" }, "Name for operators"), h("input", { id: "label", name: "label", required: true, maxlength: 64, value: nameOf(one), autocomplete: "off" })),
    action: "Rename",
    work: (form) => decided("device.pair.rename", { deviceId: one["deviceId"], label: String(form.get("label")).trim() }, "The device is renamed"),
  });
}

/** @param {Device} one @param {string} role */
function rotate(one, role) {
  return ask({
    title: `Give ${nameOf(one)} a new token?`,
    body: h("p", null, `The old ${role} token ends at once, and what is connected by it. `, isOwn(one) ? "This browser gets the new one itself." : "The device gets the new one at its next connect with the gateway's secret; without that it has to be approved again."),
    action: "Rotate",
    work: async () => {
      const told = await link.ask("device.token.rotate", { deviceId: one["deviceId"], role });
      if (told.token && isOwn(one)) await link.replaceToken(told.token); // before all: this connection ends now
      announce(`The ${role} token is rotated`);
      await load();
    },
  });
}

/** @param {Device} one @param {string} role */
function revoke(one, role) {
  return ask({
    title: `Revoke the ${role} token of ${nameOf(one)}?`,
    body: h("p", null, "It is disconnected at once and stays out in this role until an operator approves it or gives it a new token."),
    action: "Revoke",
    danger: true,
    work: () => decided("device.token.revoke", { deviceId: one["deviceId"], role }, `The ${role} token is revoked`),
  });
}

/** @param {string} method @param {unknown} params @param {string} words */
async function decided(method, params, words) {
  await link.ask(method, params);
  announce(words);
  await load();
}
