// @ts-check
/** The configuration as settings that can be shown and changed: from its schema, its file and edits. Pure. */

/**
 * @typedef {object} Setting one key of the configuration
 * @property {string} path dotted
 * @property {string} help
 * @property {"choice" | "boolean" | "integer" | "list" | "json" | "text" | "secret"} kind
 * @property {string[]} choices
 * @property {unknown} standard what counts where nothing is set
 * @property {boolean} hot whether a change counts at once
 * @property {string | undefined} option of the command line, which goes before the file
 * @property {number | undefined} minimum
 * @property {number | undefined} maximum
 */

/** @typedef {{path: string, help: string, settings: Setting[]}} Group */
/** @typedef {any} Schema */

/** What stands in an answer where a secret is. Source: protocol fact. */
export const REDACTED = "__OPENCLAW_REDACTED__";

/** @param {Schema} schema the branch that is no reference to a variable */
function plain(schema) {
  return schema.anyOf?.find((/** @type {Schema} */ one) => !one.$ref) ?? schema;
}

/** @param {string} path @param {Schema} schema @param {string | undefined} option @returns {Setting} */
function setting(path, schema, option) {
  const shape = plain(schema);
  return {
    path,
    help: schema.description ?? "",
    kind: kindOf(schema, shape),
    choices: shape.enum ?? [],
    standard: schema.default,
    hot: schema["x-reload"] === "hot",
    option,
    minimum: shape.minimum,
    maximum: shape.maximum,
  };
}

/** @param {Schema} schema @param {Schema} shape @returns {Setting["kind"]} */
function kindOf(schema, shape) {
  if (schema.writeOnly) return "secret";
  if (shape.enum) return "choice";
  if (shape.type === "boolean") return "boolean";
  if (shape.type === "integer") return "integer";
  if (shape.type === "array") return plain(shape.items ?? {}).type === "object" ? "json" : "list";
  return "text";
}

/**
 * Return the settings of a schema, in its order, in groups of what belongs together.
 *
 * @param {Schema} schema
 * @param {Record<string, {commandLine?: string}>} hints by dotted path
 * @returns {Group[]}
 */
export function groupsOf(schema, hints) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  /** @param {Schema} node @param {string[]} path @param {string} help */
  const walk = (node, path, help) => {
    for (const [key, item] of Object.entries(node.properties ?? {})) {
      const one = /** @type {Schema} */ (item);
      const here = [...path, key];
      if (key.startsWith("$") || one.deprecated || one.$ref) continue;
      if (one.type === "object" && one.properties) {
        walk(one, here, one.description ?? "");
      } else if (one["x-reload"]) {
        const name = here.slice(0, Math.min(2, here.length - 1)).join(".");
        const group = groups.get(name) ?? { path: name, help: path.length === 2 ? help : "", settings: [] };
        group.settings.push(setting(here.join("."), one, hints[here.join(".")]?.commandLine));
        groups.set(name, group);
      }
    }
  };
  walk(schema, [], "");
  return [...groups.values()];
}

/** @param {any} document @param {string} path @returns {unknown} what a document has there, undefined if nothing */
export function valueAt(document, path) {
  return path.split(".").reduce((node, key) => node?.[key], document);
}

/** @param {Setting} one @param {unknown} value @returns {string} the text of a field for it */
export function textOf(one, value) {
  if (value === undefined || value === null) return "";
  if (one.kind === "list" && Array.isArray(value)) return value.join("\n");
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/**
 * Return the value that a text means; undefined takes the key out of the file.
 *
 * @param {Setting} one @param {string} text
 * @throws {Error} it means none
 */
export function valueOf(one, text) {
  const said = text.trim();
  if (!said) return undefined;
  switch (one.kind) {
    case "boolean":
      return said === "true";
    case "integer": {
      if (!/^-?\d+$/.test(said)) throw new Error("a whole number is needed");
      return Number(said);
    }
    case "list":
      return said.split("\n").map((line) => line.trim()).filter(Boolean);
    case "json":
      try {
        return JSON.parse(said);
      } catch (error) {
        throw new Error(`this is no JSON: ${/** @type {Error} */ (error).message}`);
      }
    default:
      return said;
  }
}

/** @param {unknown} one @param {unknown} other */
export function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * Return the merge patch (RFC 7396) of some changes.
 *
 * @param {Map<string, unknown>} changes by path; undefined takes a key out
 */
export function patchOf(changes) {
  /** @type {any} */
  const patch = {};
  for (const [path, value] of changes) {
    const keys = path.split(".");
    const last = /** @type {string} */ (keys.pop());
    let node = patch;
    for (const key of keys) node = node[key] ??= {};
    node[last] = value ?? null;
  }
  return patch;
}
