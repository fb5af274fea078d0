// @ts-check
/** What several views show: commands to copy, dialogs that ask, scopes, lists of facts, empty places. */
import { announce, focusTitle, h } from "./dom.js";
import { typedThere } from "./host.js";
import { SCOPES, scopeName } from "./words.js";

/** @typedef {import("./dom.js").Child} Child */

const WHERE = {
  "gateway-host": "On the gateway's machine, in a terminal:",
  container: "On the machine that runs the gateway's container:",
  "this-device": "On this computer:",
  browser: "In this browser:",
};

/**
 * Show a command with a button that copies it.
 *
 * @param {string} text
 * @param {string} [where] where it is to be typed, as a refusal names it
 */
export function command(text, where) {
  return where === "gateway-host" ? shown(typedThere(text)) : shown({ text, where });
}

/** @param {{text: string, where: string | undefined}} command */
function shown({ text, where }) {
  const said = where && where in WHERE ? WHERE[/** @type {keyof typeof WHERE} */ (where)] : null;
  return h(
    "div",
    { key: `command ${text}` },
    said && h("p.where", null, said),
    h(
      "div.command",
      null,
      h("code", null, text),
      h("button", { type: "button", "aria-label": `Copy: ${text}`, onclick: (/** @type {Event} */ event) => void copy(text, event) }, "Copy"),
    ),
  );
}

/** @param {string} text @param {Event} event */
async function copy(text, event) {
  const button = /** @type {HTMLElement} */ (event.currentTarget);
  const done = (await copied(text, button)) ? "Copied" : "Select it";
  button.textContent = done;
  announce(done === "Copied" ? `Copied: ${text}` : "This browser lets no page copy: select the command by hand");
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

/** @param {string} text @param {HTMLElement} button */
async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // On plain HTTP there is no clipboard: the old way, which needs a field. It stands beside the
    // button, for while a dialog is open nothing outside of it can be selected.
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    button.after(field);
    field.select();
    const worked = document.execCommand("copy");
    field.remove();
    button.focus();
    return worked;
  }
}

/**
 * Show a sentence of the gateway's, with what it puts between backquotes as code.
 *
 * @param {string} text
 * @returns {Child[]}
 */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", null, typedThere(part).text) : part));
}

/** @param {readonly string[] | undefined} scopes @param {readonly string[]} [known] those that are nothing new */
export function scopeChips(scopes, known) {
  if (!scopes?.length) return h("span.muted", null, "no scopes");
  return h(
    "span.chips",
    null,
    scopes.map((scope) => {
      const fresh = known !== undefined && !known.includes(scope);
      const means = SCOPES[/** @type {keyof typeof SCOPES} */ (scope)];
      return h(fresh ? "span.chip.new" : "span.chip", { title: means ?? scope }, scopeName(scope), fresh && h("span.unseen", null, " (new)"));
    }),
  );
}

/** @param {Array<[string, Child]>} rows those without a value are left out */
export function facts(rows) {
  return h(
    "dl.facts",
    null,
    rows
      .filter(([, value]) => value !== null && value !== undefined && value !== false && value !== "")
      .map(([name, value]) => [h("dt", null, name), h("dd", null, value)]),
  );
}

/** @param {...Child} words what to do next */
export function empty(...words) {
  return h("div.empty", null, ...words);
}

/** So many entries of a list are drawn at once: thousands would make each refresh slow. */
const AT_ONCE = 100;
/** How many of a list are shown, where somebody asked for more. @type {Map<string, number>} */
const unfolded = new Map();

/**
 * Show the beginning of a list, and a way to what follows.
 *
 * @template T
 * @param {string} name of the list
 * @param {T[]} all
 * @param {(one: T) => HTMLElement} row
 * @param {() => void} refresh
 */
export function items(name, all, row, refresh) {
  const shown = unfolded.get(name) ?? AT_ONCE;
  const more = () => {
    unfolded.set(name, shown + AT_ONCE);
    refresh();
  };
  return [
    h("ul.items", null, all.slice(0, shown).map(row)),
    all.length > shown && h("div.inner", null, h("button", { type: "button", onclick: more }, `Show more: ${all.length - shown} are left`)),
  ];
}

/** @param {unknown} error */
export function problem(error) {
  const words = error instanceof Error ? error.message : String(error);
  const remedy = /** @type {any} */ (error)?.details?.remedy;
  return h(
    "div.note.bad",
    { role: "alert" },
    h("p", null, words),
    remedy?.sentence && h("p", null, prose(remedy.sentence)),
    remedy?.command && command(remedy.command, remedy.where),
  );
}

/**
 * Ask before something is done that cannot be taken back, or for what is needed to do it.
 *
 * The dialog stays open, with what went wrong in it, until it worked or was given up.
 *
 * @param {{title: string, body: Child, action: string, danger?: boolean, wide?: boolean,
 *   work: (form: FormData) => Promise<unknown>}} asked
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, body, action, danger = false, wide = false, work }) {
  return new Promise((resolve) => {
    const failed = h("div");
    let done = false;
    const dialog = /** @type {HTMLDialogElement} */ (
      h(
        wide ? "dialog.wide" : "dialog",
        { "aria-label": title, onclose: () => (removed(dialog), resolve(done)) },
        h(
          "form",
          {
            method: "dialog",
            onsubmit: async (/** @type {SubmitEvent} */ event) => {
              event.preventDefault();
              const form = /** @type {HTMLFormElement} */ (event.currentTarget);
              const last = /** @type {HTMLButtonElement} */ (form.querySelector("button[type=submit]"));
              last.disabled = true;
              try {
                await work(new FormData(form));
                done = true;
                dialog.close();
              } catch (error) {
                failed.replaceChildren(problem(error));
                last.disabled = false;
              }
            },
          },
          h("h2", null, title),
          body,
          failed,
          h(
            "div.ends",
            null,
            h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
            h(danger ? "button.danger" : "button.primary", { type: "submit" }, action),
          ),
        ),
      )
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Take a closed dialog away. @param {HTMLDialogElement} dialog */
function removed(dialog) {
  dialog.remove();
  // The browser gives the focus back to what had it, unless that is gone: with a device, its buttons.
  if (document.activeElement === document.body) focusTitle({ preventScroll: true });
}

/**
 * Show something until it is closed.
 *
 * @param {string} title
 * @param {...Child} body
 */
export function show(title, ...body) {
  const dialog = /** @type {HTMLDialogElement} */ (
    h(
      "dialog",
      { "aria-label": title, onclose: () => removed(dialog) },
      h("div.inner", null, h("h2", null, title), body, h("div.ends", null, h("button.primary", { type: "button", onclick: () => dialog.close() }, "Close"))),
    )
  );
  document.body.append(dialog);
  dialog.showModal();
}
