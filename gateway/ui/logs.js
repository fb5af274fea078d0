// @ts-check
/** Logs: the gateway's own, as it is written. */
import { fill, h } from "./dom.js";
import { link } from "./link.js";
import { empty, problem } from "./parts.js";

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"];
const KEPT_LINES = 2_000;
const LOOK_EVERY_MS = 1_000;
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hour12: false });

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

/** @typedef {{time?: string, level?: string, subsystem?: string, message?: string}} Entry as the gateway wrote it */
/** @typedef {Entry & {id: number, gap?: boolean}} Line in its place; a gap says why some are missing there */

/** @type {Line[]} */
let lines = [];
let last = 0;
/** @type {number | undefined} */
let cursor;
/** @type {unknown} */
let failed = null;
let level = "info";
let words = "";
let paused = false;
let file = "";
/** Whether the newest line is to be in sight: so until somebody scrolls up. */
let atEnd = true;

/** @returns {Promise<boolean>} whether there is something new */
async function look() {
  let told = await link.ask("logs.tail", cursor === undefined ? { limit: 500 } : { cursor, limit: KEPT_LINES });
  if (cursor !== undefined && told.file !== file) {
    add({ message: "A new file begins" }, true); // the cursor was one of the old file
    told = await link.ask("logs.tail", { cursor: 0, limit: KEPT_LINES });
  } else if (cursor !== undefined && (told.reset || told.truncated)) {
    add({ message: "Some lines are left out here: they came faster than they were asked for" }, true);
  }
  ({ cursor, file } = told);
  for (const text of told.lines) add(entryOf(text));
  if (lines.length > KEPT_LINES) lines = lines.slice(-KEPT_LINES);
  return told.lines.length > 0;
}

/** @param {Entry} entry @param {boolean} [gap] */
function add(entry, gap = false) {
  lines.push({ ...entry, id: ++last, gap });
}

/** @param {string} text @returns {Entry} */
function entryOf(text) {
  try {
    const entry = JSON.parse(text);
    if (typeof entry === "object" && entry !== null) return entry;
  } catch {
    // a line that is no JSON is shown as it is
  }
  return { message: text };
}

/** @param {Line} line */
function shown(line) {
  if (line.gap) return true;
  if (LEVELS.indexOf(line.level ?? "info") < LEVELS.indexOf(level)) return false;
  return !words || `${line.subsystem} ${line.message}`.toLowerCase().includes(words.toLowerCase());
}

/** @param {Line[]} found */
function rows(found) {
  let day = "";
  return found.map((line) => {
    if (line.gap) return h("li.day", { key: line.id }, line.message);
    const at = line.time ? new Date(line.time) : null;
    const before = day;
    day = at?.toDateString() ?? day;
    return [before !== "" && before !== day && at && h("li.day", { key: `day of ${line.id}` }, DAY.format(at)), row(line, at)];
  });
}

/** @param {Line} line @param {Date | null} at */
function row(line, at) {
  return h(
    "li",
    { key: line.id, class: line.level ?? null },
    at ? h("time.from", { datetime: line.time, title: at.toLocaleString() }, CLOCK.format(at)) : h("span"),
    h("span", null, line.level ?? ""),
    h("span.text", null, line.subsystem && h("span.from", null, `${line.subsystem}  `), line.message ?? ""),
  );
}

/** Draw the lines themselves: apart from the rest, for there are many and they come often. */
function drawLines() {
  const place = document.getElementById("log-lines");
  if (!place) return;
  const found = lines.filter(shown);
  fill(place, found.length ? h("ul", null, rows(found)) : empty(lines.length ? "No line is of that level and has that text." : "Nothing is in the log yet."));
  if (atEnd) place.scrollTop = place.scrollHeight;
}

/** @type {import("./shell.js").View} */
export const logs = {
  open(refresh) {
    let ended = false;
    const run = async () => {
      if (ended) return;
      try {
        const before = file;
        if (!paused && !document.hidden && (await look())) drawLines();
        const told = failed !== null || file !== before;
        failed = null;
        if (told) refresh();
      } catch (error) {
        failed = error;
        refresh();
      }
      if (!ended) setTimeout(() => void run(), LOOK_EVERY_MS);
    };
    atEnd = true;
    void run();
    return () => (ended = true);
  },
  draw() {
    queueMicrotask(drawLines);
    return [
      h("div.head", null, h("h1", { id: "title", tabindex: -1 }, "Logs"), h("span.small.muted.mono", null, file)),
      failed !== null && problem(failed),
      h(
        "div.log-tools",
        { role: "search" },
        h(
          "select",
          {
            "aria-label": "Least severe level",
            name: "level",
            onchange: (/** @type {Event} */ event) => {
              level = /** @type {HTMLSelectElement} */ (event.currentTarget).value;
              drawLines();
            },
          },
          LEVELS.map((one) => h("option", { value: one, selected: one === level }, `${one} and worse`)),
        ),
        h("input", {
          type: "search",
          name: "words",
          "aria-label": "Only lines with this text",
          placeholder: "Only lines with this text",
          value: words,
          oninput: (/** @type {Event} */ event) => {
            words = /** @type {HTMLInputElement} */ (event.currentTarget).value;
            drawLines();
          },
        }),
        h(
          "button",
          {
            type: "button",
            "aria-pressed": paused ? "true" : "false",
            onclick: (/** @type {Event} */ event) => {
              paused = !paused;
              const button = /** @type {HTMLElement} */ (event.currentTarget);
              button.textContent = paused ? "Go on" : "Pause";
              button.setAttribute("aria-pressed", String(paused));
            },
          },
          paused ? "Go on" : "Pause",
        ),
      ),
      h("div.card.log", {
        key: "log",
        id: "log-lines",
        "data-own": true,
        role: "log",
        "aria-label": "Lines of the log",
        tabindex: 0,
        onscroll: (/** @type {Event} */ event) => {
          const place = /** @type {HTMLElement} */ (event.currentTarget);
          atEnd = place.scrollHeight - place.scrollTop - place.clientHeight < 40;
        },
      }),
    ];
  },
};
