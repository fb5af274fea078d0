// @ts-check
/** Invitations: made, shown once, listed while they count, and taken back. */
import { announce, h } from "./dom.js";
import { link } from "./link.js";
import { ask, scopeChips, show } from "./parts.js";
import { moment, plural } from "./words.js";

/** @typedef {Record<string, any>} Invitation */

/**
 * Show the invitations that still let somebody in.
 *
 * @param {Invitation[]} found @param {() => Promise<void>} changed
 */
export function outstanding(found, changed) {
  return (
    found.length > 0 &&
    h(
      "section.card",
      { "aria-labelledby": "invited-title" },
      h("header", null, h("h2", { id: "invited-title" }, `Invitations that still count (${found.length})`)),
      h("ul.items", null, found.map((one) => item(one, changed))),
    )
  );
}

/** @param {Invitation} one @param {() => Promise<void>} changed */
function item(one, changed) {
  const used = one["deviceIds"].length;
  return h(
    "li",
    { key: one["setupId"] },
    h(
      "div.row.apart",
      null,
      h("span", null, h("span.name.mono", null, one["setupId"]), ` as ${one["role"]} `, one["scopes"].length > 0 && scopeChips(one["scopes"])),
      h("button", { type: "button", onclick: () => takeBack(one, changed), "aria-label": `Take back the invitation ${one["setupId"]}` }, "Take back"),
    ),
    h("p.small", null, plural(one["usesLeft"], "use"), " left, ends ", moment(one["expiresAtMs"]), used > 0 && `; ${plural(used, "device")} came in by it`),
  );
}

/** @param {Invitation} one @param {() => Promise<void>} changed */
function takeBack(one, changed) {
  return ask({
    title: "Take this invitation back?",
    body: h("p", null, "It lets nobody in any more. Devices that came in by it stay."),
    action: "Take back",
    work: async () => {
      await link.ask("device.pair.invitations.revoke", { setupId: one["setupId"] });
      announce("The invitation is taken back");
      await changed();
    },
  });
}

const KINDS = [
  { value: "operator-read", words: "An operator that sees (read)", role: "operator", scopes: ["operator.read"] },
  { value: "operator-pairing", words: "An operator that decides about devices (read, pairing)", role: "operator", scopes: ["operator.read", "operator.pairing"] },
  { value: "node", words: "A node that offers its commands", role: "node", scopes: [] },
];

/** Make an invitation and show it. @param {() => Promise<void>} changed */
export function invite(changed) {
  return ask({
    title: "Invite a device",
    body: [
      h("p", null, "Whoever has the invitation gets in once, without being asked about, until it ends."),
      h("p", null, h("label", { for: "profile" }, "What it becomes"), h("select", { id: "profile", name: "profile" }, KINDS.map((one) => h("option", { value: one.value }, one.words)))),
      h("p", null, h("label", { for: "address" }, "Address it reaches this gateway by"), h("input", { id: "address", name: "address", type: "url", required: true, value: location.origin + new URL(".", location.href).pathname })),
    ],
    action: "Make the invitation",
    work: async (form) => {
      const chosen = KINDS.find((one) => one.value === form.get("profile")) ?? KINDS[0];
      const url = String(form.get("address")).replace(/^http/, "ws").replace(/\/+$/, "");
      const told = await link.ask("device.pair.setupCode", { publicUrl: url, role: chosen?.role, scopes: chosen?.scopes });
      await changed();
      setTimeout(() => invited(told, chosen?.role === "operator" ? url.replace(/^ws/, "http") : null));
    },
  });
}

/** @param {any} told @param {string | null} page */
function invited(told, page) {
  const token = JSON.parse(atob(told.setupCode.replaceAll("-", "+").replaceAll("_", "/"))).bootstrapToken;
  show(
    "The invitation",
    h("p", null, "It counts once and ends ", moment(told.expiresAtMs), "."),
    told.qrDataUrl && h("img.qr", { src: told.qrDataUrl, alt: "The setup code as a QR code" }),
    h("p.where", null, "Setup code, for an app or ", h("code", null, "openclaw node run"), ":"),
    h("pre.result", { tabindex: 0 }, told.setupCode),
    page !== null && [h("p.where", null, "Link, for a browser:"), h("pre.result", { tabindex: 0 }, `${page}/#bootstrapToken=${token}`)],
  );
}
