// @ts-check
/** Everything that is shown before this browser is in, and why it is not. */
import { readPasted } from "./arrival.js";
import { announce, fill, h, mark, refocus } from "./dom.js";
import { link } from "./link.js";
import { command, facts, prose } from "./parts.js";
import { sawRows, screenOf } from "./refusals.js";
import { lasting, moment } from "./words.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {{allowPlainHttp: boolean, port: number, version: string}} PageFacts */

let lastTitle = "";

/** @param {Element} place @param {PageFacts} page @param {string} title @param {...Child} body */
function card(place, page, title, ...body) {
  document.title = `${title} · OpenClaw gateway`;
  fill(
    place,
    h("header.brand", null, mark(), h("span", null, "OpenClaw gateway", h("span.host", null, ` ${location.host}`))),
    plainHttpWarning(page),
    h("main.card.stack", { key: title, id: "main" }, h("h1", { tabindex: -1 }, title), body),
  );
  if (title !== lastTitle) {
    announce(title);
    refocus(place);
  }
  lastTitle = title;
}

/** @param {PageFacts} page */
export function plainHttpWarning(page) {
  if (isSecureContext || !page.allowPlainHttp) return null;
  return h(
    "div.note.warn",
    { role: "note" },
    h("p", null, h("strong", null, "Not encrypted."), " This page came over plain HTTP: whoever is on the way can read and change all of it, the token included. ", "Open it over HTTPS, or through ", h("code", null, tunnel(page)), "."),
  );
}

/** @param {PageFacts} page */
function tunnel({ port }) {
  const host = location.hostname.replace(/^\[|\]$/g, "");
  return `ssh -N -L ${port}:127.0.0.1:${port} USER@${host}`;
}

/** Show why nothing is tried from here, and both ways out. @param {Element} place @param {PageFacts} page */
export function showPlainHttp(place, page) {
  const there = `http://127.0.0.1:${page.port}${new URL(".", location.href).pathname}`;
  card(
    place,
    page,
    "This browser cannot make a device key here",
    h("p", null, "The page came over plain HTTP from another machine. Browsers make and guard keys only on HTTPS or on the computer's own address (a secure context), so nothing was sent. There are two ways out."),
    h("h2", null, "Bring the gateway to this computer"),
    command(tunnel(page), "this-device"),
    h("p", null, "Leave it running, and open ", h("a", { href: there }, there), "."),
    h("h2", null, "Or serve it over HTTPS"),
    h("p", null, "By a reverse proxy with a certificate in front of the gateway, by Tailscale Serve, or by the gateway itself:"),
    command("openclaw config set gateway.tls.enabled true", "gateway-host"),
    h(
      "details",
      null,
      h("summary", null, "A network that only you are on?"),
      h("p", null, "Then the page can be allowed to connect from here all the same, with a key that it keeps by itself and without encryption. Everybody on the way can then read the token."),
      command("openclaw config set gateway.controlUi.allowPlainHttp true", "gateway-host"),
    ),
    h("div.row", null, h("button", { type: "button", onclick: () => location.reload() }, "Look again")),
  );
}

/** Show where the link is, while it is not in. @param {Element} place @param {PageFacts} page */
export function showGate(place, page) {
  const { state } = link;
  if (state.kind === "connecting") {
    card(place, page, "Connecting …", h("p.muted", null, `to the gateway at ${location.host}`));
  } else if (state.kind === "broken") {
    card(
      place,
      page,
      "This browser cannot keep a device key",
      h("p", null, "The gateway knows each browser by a key that the browser keeps. This one keeps nothing: often a private window, or site data switched off."),
      h("p.muted", null, state.problem),
      again(),
    );
  } else if (state.kind === "down") {
    showDown(place, page, state);
  } else if (state.kind === "refused") {
    showRefused(place, page, state);
  }
}

/** @param {Element} place @param {PageFacts} page @param {Extract<import("./link.js").State, {kind: "down"}>} state */
function showDown(place, page, state) {
  const next = h("p.muted", null, "Next try ", countdown(state.retryAtMs), ". No answer since: ", moment(state.sinceMs));
  if (state.upgradeLost) {
    card(
      place,
      page,
      "A proxy on the way stops WebSockets",
      h("p", null, "The gateway answers plain HTTP, but the page cannot open a WebSocket to it. The proxy in front has to pass the handshake on. For nginx:"),
      command("proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";", "gateway-host"),
      h("p", null, "This command shows, step by step, how far a connection gets:"),
      command(`openclaw gateway probe --url ${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${new URL(".", location.href).pathname}`, "this-device"),
      next,
      again(),
    );
    return;
  }
  card(
    place,
    page,
    "The gateway does not answer",
    h("p", null, "It is stopped, it restarts, or something between here and there is down. This page comes back by itself."),
    command("openclaw gateway status", "gateway-host"),
    state.problem && h("p.muted", null, "The last connection ended: ", state.problem, "."),
    next,
    again(),
  );
}

/** @param {Element} place @param {PageFacts} page @param {Extract<import("./link.js").State, {kind: "refused"}>} state */
function showRefused(place, page, { refusal, retryAtMs }) {
  const screen = screenOf(refusal);
  const remedy = refusal.details["remedy"] ?? {};
  const line = remedy.command ?? screen.command;
  const locked = refusal.code === "AUTH_RATE_LIMITED" && retryAtMs !== null && retryAtMs > Date.now();
  const waits = retryAtMs !== null && refusal.code !== "AUTH_RATE_LIMITED";
  const rows = sawRows(refusal);
  card(
    place,
    page,
    screen.title,
    h("p", null, screen.lead),
    screen.code && h("output.code-large", { "aria-label": "Verification code" }, screen.code),
    line && command(line, screen.command && !remedy.command ? "gateway-host" : (remedy.where ?? "gateway-host")),
    locked && h("p.note.warn", null, "Try again ", countdown(retryAtMs), "."),
    screen.offers === "token" && secretForm(screen, locked),
    screen.offers === "reload" && h("div.row", null, h("button.primary", { type: "button", onclick: () => location.reload() }, "Load the page anew")),
    waits && h("p.muted", null, "This page tries again by itself ", countdown(retryAtMs), timeLeft(refusal), "."),
    screen.offers === "again" && again(),
    screen.offers === "anew" && h("div.row", null, h("button.primary", { type: "button", onclick: () => link.start() }, "Ask again")),
    h(
      "details",
      { open: screen.explains === true },
      h("summary", null, "What the gateway saw, and why"),
      remedy.sentence && h("p", null, prose(remedy.sentence)),
      facts([["Credential", refusal.details["authenticated"] ? "accepted" : "not accepted"], ...rows]),
      h("p.small.muted", null, "Code ", h("code", null, refusal.code), ". The gateway tells more of it, on its own machine: ", h("code", null, "openclaw gateway why last")),
    ),
  );
}

/** @param {import("./wire.js").Refusal} refusal @returns {Child} */
function timeLeft(refusal) {
  const left_ms = refusal.details["expiresInMs"];
  return typeof left_ms === "number" && `; left alone, the request ends in ${lasting(left_ms)}`;
}

/** @param {number | null} at_ms @returns {Child} */
function countdown(at_ms) {
  if (at_ms === null) return "soon";
  return h("span", { "data-until": at_ms }, untilWords(at_ms));
}

/** @param {number} at_ms */
function untilWords(at_ms) {
  const left_s = Math.ceil((at_ms - Date.now()) / 1000);
  return left_s > 0 ? `in ${lasting(left_s * 1000)}` : "now";
}

/** Bring every countdown up to date; tell whether one just ended. */
export function tickCountdowns() {
  let ended = false;
  for (const place of document.querySelectorAll("[data-until]")) {
    const words = untilWords(Number(place.getAttribute("data-until")));
    if (place.textContent !== words) {
      place.textContent = words;
      ended ||= words === "now";
    }
  }
  return ended;
}

function again() {
  return h("div.row", null, h("button", { type: "button", onclick: () => link.again() }, "Try again now"));
}

/** @param {import("./refusals.js").Screen} screen @param {boolean} locked */
function secretForm(screen, locked) {
  const name = screen.secret ?? "Token";
  const field = /** @type {HTMLInputElement} */ (
    h("input", {
      id: "secret",
      name: "secret",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      disabled: locked,
      "aria-invalid": screen.wrong ? "true" : null,
      "aria-describedby": screen.wrong ? "secret-wrong" : null,
    })
  );
  return h(
    "form.stack",
    {
      key: "secret-form",
      onsubmit: (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        const typed = new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get("secret");
        const found = readPasted(String(typed ?? ""));
        if (found.secret || found.bootstrap) link.start(found);
      },
    },
    h("label", { for: "secret" }, name, " (or the whole link)"),
    h("div.row", null, h("div.grow", null, field), h("button.primary", { type: "submit", disabled: locked }, "Connect")),
    screen.wrong && h("p.problem", { id: "secret-wrong" }, "What was sent last is wrong."),
  );
}
