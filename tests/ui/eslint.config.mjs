// What the type checker does not see in the Control UI: names that are not there, slips, and markup made of text.
const browser = [
  ...["AbortSignal", "BroadcastChannel", "Event", "FormData", "HTMLElement", "HTMLInputElement", "Intl", "Node", "Element", "URL", "URLSearchParams"],
  ...["TextEncoder", "WebSocket", "addEventListener", "atob", "btoa", "clearInterval", "clearTimeout", "crypto", "document", "fetch"],
  ...["globalThis", "history", "indexedDB", "isSecureContext", "location", "navigator", "performance", "queueMicrotask", "scrollTo"],
  ...["reportError", "requestAnimationFrame", "sessionStorage", "setInterval", "setTimeout", "window"],
];
const markup = ["innerHTML", "outerHTML", "insertAdjacentHTML", "write", "srcdoc"];

export default [
  { ignores: ["**/vendor/**"] },
  {
    files: ["**/*.js"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: Object.fromEntries(browser.map((name) => [name, "readonly"])) },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      "constructor-super": "error",
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "no-console": "error",
      "no-constant-condition": "error",
      "no-dupe-keys": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-param-reassign": "error",
      "no-promise-executor-return": "off",
      "no-restricted-properties": ["error", ...markup.map((property) => ({ property, message: "text becomes text, never markup" }))],
      "no-self-compare": "error",
      "no-shadow": "off",
      "no-undef": "error",
      "no-unreachable": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
      "require-await": "off",
      "no-unsafe-finally": "error",
      "use-isnan": "error",
      "max-lines": ["error", { max: 400 }],
    },
  },
];
