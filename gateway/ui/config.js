// @ts-check
/** Config: every key with what it means, changed by a form, compared before it is written. */
import { announce, h } from "./dom.js";
import { link } from "./link.js";
import { ask, command, empty, facts, problem } from "./parts.js";
import { REDACTED, groupsOf, patchOf, same, textOf, valueAt, valueOf } from "./settings.js";
import { Refusal } from "./wire.js";

/** @typedef {import("./settings.js").Setting} Setting */
/** @typedef {import("./settings.js").Group} Group */

/** @type {Group[] | null} */
let groups = null;
/** The connection that told of the keys: a gateway that was started anew may have other options. @type {unknown} */
let toldOn = null;
/** @type {Record<string, any> | null} what `config.get` told last */
let file = null;
/** What was typed and is not saved, by path. @type {Map<string, string>} */
const typed = new Map();
/** What is wrong with it, by path. @type {Map<string, string>} */
const wrong = new Map();
/** Keys whose value in the file changed while they were being edited. @type {Set<string>} */
const overtaken = new Set();
/** How often the field of a path was drawn anew, so that no text of before stays in it. @type {Map<string, number>} */
const renewed = new Map();
/** @type {unknown} */
let failed = null;
let said = "";
let filter = "";
/** @type {() => void} */
let refresh = () => {};

async function load() {
  try {
    const wire = link.state.kind === "in" ? link.state.wire : null;
    if (!groups || wire !== toldOn) {
      const { schema, uiHints } = await link.ask("config.schema");
      groups = groupsOf(schema, uiHints);
      toldOn = wire;
    }
    const told = await link.ask("config.get");
    for (const { path } of all()) {
      if (!file || same(valueAt(file["parsed"], path), valueAt(told.parsed, path))) continue;
      if (typed.has(path)) overtaken.add(path);
      else renew(path);
    }
    [file, failed] = [told, null];
  } catch (error) {
    failed = error;
  }
  refresh();
}

/** @param {string} path */
function renew(path) {
  renewed.set(path, (renewed.get(path) ?? 0) + 1);
}

/** @type {import("./shell.js").View} */
export const config = {
  open(changed) {
    refresh = changed;
    void load();
    return link.listen((name) => name === "config.changed" && void load());
  },
  draw() {
    const head = h("div.head", null, h("h1", { id: "title", tabindex: -1 }, "Config"), h("input", { type: "search", name: "filter", "aria-label": "Find a key", placeholder: "Find a key", class: "find", value: filter, oninput: find }));
    if (!groups || !file) return [head, failed !== null && problem(failed), h("div.card", null, empty("Looking …"))];
    const shown = groups.map((group) => ({ ...group, settings: group.settings.filter(matches) })).filter((group) => group.settings.length);
    return [
      head,
      failed !== null && problem(failed),
      facts([
        ["File", [h("code", null, file["path"]), !file["exists"] && " (not there yet)"]],
        ["In force", file["valid"] ? "as it is on file" : "an earlier version: what is on file cannot be used"],
      ]),
      file["issues"].map((/** @type {any} */ one) => h("div.note.bad", null, one.path && h("code", null, one.path), " ", one.message)),
      file["warnings"].map((/** @type {any} */ one) => h("div.note.warn", null, one.message)),
      !link.may("operator.admin") && h("div.note", null, h("p", null, "Changing it needs ", h("strong", null, "admin"), "."), !link.pendingUpgrade && h("button", { type: "button", onclick: () => void link.askForMore() }, "Ask for more")),
      h("form.settings", { key: "settings", autocomplete: "off", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), maySave() && void save()) }, shown.length ? shown.map(group) : h("div.card", null, empty("No key has that in its name or meaning."))),
      file["raw"] !== null && h("details", null, h("summary", null, "The file as it is, without its secrets"), h("pre.result", { tabindex: 0 }, file["raw"])),
      said && h("div.note.good", { role: "status" }, said),
      typed.size > 0 && saveBar(),
    ];
  },
};

/** @param {Event} event */
function find(event) {
  filter = /** @type {HTMLInputElement} */ (event.currentTarget).value;
  refresh();
}

/** @param {Setting} one */
function matches(one) {
  return typed.has(one.path) || `${one.path} ${one.help}`.toLowerCase().includes(filter.trim().toLowerCase());
}

/** @param {Group} one */
function group(one) {
  return h(
    "section.card",
    { key: one.path, "aria-label": one.path },
    h("header", null, h("h2.mono", null, one.path), one.help && h("p.small.muted", null, one.help)),
    one.settings.map(row),
  );
}

/** When a change counts. @param {Setting} one */
function counts(one) {
  if (one.option) return `from a start without ${one.option}`;
  return one.hot ? "at once" : "after a restart";
}

/** @param {string} when */
function sentence(when) {
  return `Counts ${when}.`;
}

/** @param {Setting} one @returns {unknown} */
function onFile(one) {
  return valueAt(/** @type {any} */ (file)["parsed"], one.path);
}

/** @param {Setting} one */
function row(one) {
  const id = `set ${one.path}`.replaceAll(/[ .]/g, "-");
  const text = typed.get(one.path);
  const standard = one.standard === undefined || one.standard === null ? "" : `Unset: ${textOf(one, one.standard) || "empty"}. `;
  return h(
    "div.setting",
    { key: one.path, class: text === undefined ? null : "changed" },
    h(
      "div",
      null,
      h("label", { for: id }, one.path),
      h("p.small", { id: `${id}-help` }, one.help),
      h("p.small.muted", null, one.kind === "secret" ? "" : standard, sentence(counts(one))),
    ),
    h(
      "div",
      null,
      field(one, id),
      wrong.has(one.path) && h("p.problem", { role: "alert" }, wrong.get(one.path)),
      overtaken.has(one.path) && h("p.problem", null, `Changed on file meanwhile: ${show(one, onFile(one))}`),
      mayGo(one, text) && h("button.plain", { type: "button", "aria-label": `Take out of the file: ${one.path}`, onclick: () => takeOut(one) }, "Take out of the file"),
      text !== undefined && h("button.plain", { type: "button", onclick: () => forget(one) }, "Undo this change"),
    ),
  );
}

/** Whether a secret may be taken out: its field is empty anyway, so that emptying it says nothing. @param {Setting} one @param {string | undefined} text */
function mayGo(one, text) {
  return one.kind === "secret" && text === undefined && onFile(one) !== undefined && link.may("operator.admin");
}

/** @param {Setting} one */
function takeOut(one) {
  said = "";
  typed.set(one.path, "");
  refresh();
}

/** @param {Setting} one @param {string} id */
function field(one, id) {
  const text = typed.get(one.path) ?? (one.kind === "secret" ? "" : textOf(one, onFile(one)));
  const common = {
    id,
    key: `${one.path} ${renewed.get(one.path) ?? 0}`,
    name: one.path,
    "aria-describedby": `${id}-help`,
    "aria-invalid": wrong.has(one.path) ? "true" : null,
    disabled: !link.may("operator.admin"),
  };
  const note = (/** @type {Event} */ event) => edit(one, /** @type {HTMLInputElement} */ (event.currentTarget).value);
  if (one.kind === "choice" || one.kind === "boolean") {
    const choices = one.kind === "boolean" ? ["true", "false"] : one.choices;
    const known = ["", ...choices, ...(text && !choices.includes(text) ? [text] : [])];
    return h("select", { ...common, onchange: note }, known.map((value) => h("option", { value, selected: value === text }, value || "(unset)")));
  }
  if (one.kind === "list" || one.kind === "json") {
    return h("textarea", { ...common, spellcheck: "false", rows: 3, placeholder: one.kind === "list" ? "one a line" : "[]", oninput: note }, text);
  }
  const type = one.kind === "secret" ? "password" : one.kind === "integer" ? "number" : "text";
  const placeholder = one.kind === "secret" ? secretNote(one) : textOf(one, one.standard);
  return h("input", { ...common, type, value: text, placeholder, autocomplete: "off", spellcheck: "false", min: one.minimum, max: one.maximum, oninput: note });
}

/** Whether a value only says where the secret is. @param {unknown} value */
function isReference(value) {
  return /^\$\{\w+\}$/.test(String(value));
}

/** @param {Setting} one */
function secretNote(one) {
  if (onFile(one) === undefined) return "not set";
  if (typed.get(one.path) === "") return "taken out when it is saved";
  return onFile(one) === REDACTED ? "set; type to replace it" : `set by ${onFile(one)}; type to replace it`;
}

/** @param {Setting} one @param {string} text */
function edit(one, text) {
  said = "";
  wrong.delete(one.path);
  try {
    const value = valueOf(one, text);
    const unchanged = one.kind === "secret" ? value === undefined : same(value, onFile(one));
    if (unchanged) typed.delete(one.path);
    else typed.set(one.path, text);
  } catch (error) {
    typed.set(one.path, text);
    wrong.set(one.path, /** @type {Error} */ (error).message);
  }
  refresh();
}

/** @param {Setting} one */
function forget(one) {
  typed.delete(one.path);
  wrong.delete(one.path);
  overtaken.delete(one.path);
  renew(one.path);
  refresh();
}

function maySave() {
  return typed.size > 0 && wrong.size === 0 && link.may("operator.admin");
}

// What was typed is in this page alone.
addEventListener("beforeunload", (event) => {
  if (typed.size > 0) event.preventDefault();
});

function saveBar() {
  const count = typed.size;
  return h(
    "div.save-bar",
    { role: "region", "aria-label": "Changes" },
    h("span", null, count === 1 ? "1 change is not saved" : `${count} changes are not saved`),
    h(
      "div.row",
      null,
      h("button", { type: "button", onclick: () => all().filter((one) => typed.has(one.path)).forEach(forget) }, "Undo all"),
      h("button.primary", { type: "button", disabled: !maySave(), onclick: () => void save() }, "Compare and save"),
    ),
  );
}

function all() {
  return (groups ?? []).flatMap((one) => one.settings);
}

/** @param {Setting} one @param {unknown} value */
function show(one, value) {
  if (value === undefined) return "(unset)";
  if (one.kind === "secret" && !isReference(value)) return value === REDACTED ? "(a secret)" : "(another secret)";
  return textOf(one, value) || '""';
}

function save() {
  const edits = all().filter((one) => typed.has(one.path));
  const changes = new Map(edits.map((one) => [one.path, valueOf(one, typed.get(one.path) ?? "")]));
  const later = edits.filter((one) => !one.hot && !one.option);
  return ask({
    title: "Save these changes?",
    wide: true,
    body: [
      h(
        "ul.diff",
        null,
        edits.map((one) => h("li", null, h("strong", null, one.path), " ", h("span.chip", null, counts(one)), h("del", null, show(one, onFile(one))), h("ins", null, show(one, changes.get(one.path))))),
      ),
      later.length > 0 && h("p", null, "What waits for a restart is listed under Health afterwards:"),
      later.length > 0 && command("openclaw gateway restart", "gateway-host"),
    ],
    action: "Save",
    work: async () => {
      try {
        const told = await link.ask("config.patch", {
          raw: JSON.stringify(patchOf(changes)),
          baseHash: file?.["hash"],
          replacePaths: edits.filter((one) => one.kind === "list" || one.kind === "json").map((one) => one.path),
        });
        for (const one of edits) forget(one);
        const waits = told.restartRequired ?? [];
        const later = waits.length ? [`After a restart: ${waits.join(", ")}.`] : [];
        for (const [key, option] of Object.entries(told.commandLine ?? {})) later.push(`The gateway was started with ${option}, which goes before ${key}: it counts from a start without.`);
        said = later.length ? `Saved. ${later.join(" ")}` : "Saved, and in force.";
        announce(said);
        await load();
      } catch (error) {
        await explain(error);
        throw error;
      }
    },
  });
}

/** Show what a refused change was refused for at the keys themselves. @param {unknown} error */
async function explain(error) {
  if (!(error instanceof Refusal)) return;
  for (const issue of error.details["issues"] ?? []) {
    // An entry of a list is named behind the key that holds it.
    const path = [...typed.keys()].find((one) => issue.path === one || issue.path.startsWith(`${one}.`) || issue.path.startsWith(`${one}[`));
    if (path) wrong.set(path, issue.message);
  }
  if (/changed since last load/.test(error.message)) {
    await load(); // the next try is compared with what is there now
    error.message = "The file was changed by somebody else meanwhile, so nothing was written. Your changes are kept: close this, look at what is marked, and save again.";
  }
  refresh();
}
