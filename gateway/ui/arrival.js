// @ts-check
/**
 * What the address bar brought along, taken out of it before anything else happens.
 *
 * Only a secret for this very gateway is taken; an address of another one is not even looked at,
 * whatever it is called: a link must not be able to send this page's secret elsewhere.
 */

// For who loads this: from here on nothing is missing any more, and what fails would fail again.
document.documentElement.dataset["began"] = "";

/** @typedef {{secret: string | null, bootstrap: string | null}} Brought */

const OURS = ["token", "password", "bootstrapToken"];
const DROPPED = [...OURS, "gatewayUrl"];

/**
 * Read the secrets out of a query or fragment.
 *
 * @param {URLSearchParams} said
 * @returns {Brought}
 */
function read(said) {
  const secret = said.get("token")?.trim() || said.get("password")?.trim() || null;
  return { secret, bootstrap: said.get("bootstrapToken")?.trim() || null };
}

/** @param {string} text a fragment or query, without its sign */
function asWords(text) {
  const said = new URLSearchParams(text);
  return OURS.some((name) => said.has(name)) || said.has("gatewayUrl") ? said : new URLSearchParams();
}

/**
 * Read the secrets out of a link that was pasted, or of a secret itself.
 *
 * @param {string} text
 * @returns {Brought}
 */
export function readPasted(text) {
  const link = /^https?:\/\/[^\s#?]*[#?](.*)$/i.exec(text.trim());
  if (!link) return { secret: text.trim() || null, bootstrap: null };
  return read(asWords((link[1] ?? "").replaceAll("#", "&")));
}

/** @returns {Brought} */
function take() {
  const query = new URLSearchParams(location.search);
  const fragment = asWords(location.hash.slice(1));
  const [first, second] = [read(fragment), read(query)];
  const named = DROPPED.some((name) => query.has(name) || fragment.has(name));
  if (named) {
    for (const name of DROPPED) query.delete(name);
    const rest = query.toString();
    const route = [...fragment.keys()].length ? "" : location.hash;
    history.replaceState(null, "", location.pathname + (rest ? `?${rest}` : "") + route);
  }
  return { secret: first.secret ?? second.secret, bootstrap: first.bootstrap ?? second.bootstrap };
}

const brought = take();

/** Return what the address bar brought, once: whoever asks again gets nothing. */
export function takeBrought() {
  const found = { ...brought };
  brought.secret = brought.bootstrap = null;
  return found;
}

/**
 * Call when a link with a secret is opened in this very tab, which loads no page.
 *
 * @param {(found: Brought) => void} then
 */
export function onLink(then) {
  addEventListener("hashchange", () => {
    const found = take();
    if (found.secret || found.bootstrap) then(found);
  });
}
