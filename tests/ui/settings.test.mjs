// The pure parts of the Control UI: run by `node --test`.
import assert from "node:assert/strict";
import { test } from "node:test";

import { groupsOf, patchOf, same, textOf, valueAt, valueOf } from "../../gateway/ui/settings.js";
import { getPublicKey, sha256, sign } from "../../gateway/ui/vendor/ed25519.js";

const schema = {
  properties: {
    $schema: { "x-reload": "hot" },
    gateway: {
      type: "object",
      properties: {
        port: { type: "integer", description: "Port.", minimum: 1, maximum: 65535, "x-reload": "restart" },
        mode: { anyOf: [{ type: "string", enum: ["a", "b"] }, { $ref: "#/$defs/reference" }], default: "a", "x-reload": "restart" },
        old: { deprecated: true, description: "gone" },
        auth: {
          type: "object",
          description: "Who.",
          properties: {
            token: { type: "string", writeOnly: true, "x-reload": "hot" },
            rateLimit: { type: "object", properties: { windowMs: { type: "integer", "x-reload": "hot" } } },
          },
        },
        list: { type: "array", items: { type: "string" }, "x-reload": "hot" },
        rules: { type: "array", items: { type: "object" }, "x-reload": "hot" },
        on: { anyOf: [{ type: "boolean" }, { $ref: "#/$defs/reference" }], "x-reload": "hot" },
      },
    },
  },
};
const hints = { "gateway.port": { help: "Where.", commandLine: "--port" }, "gateway.mode": { help: "How." } };
const all = groupsOf(schema, hints).flatMap((group) => group.settings);
const named = (path) => all.find((one) => one.path === path);

test("keys are grouped by what they belong to, and what has no effect is left out", () => {
  assert.deepEqual(
    groupsOf(schema, hints).map((group) => [group.path, group.settings.map((one) => one.path)]),
    [
      ["gateway", ["gateway.port", "gateway.mode", "gateway.list", "gateway.rules", "gateway.on"]],
      ["gateway.auth", ["gateway.auth.token", "gateway.auth.rateLimit.windowMs"]],
    ],
  );
  assert.equal(groupsOf(schema, hints)[1].help, "Who.");
});

test("a key that an option of the command line goes before is known by that option", () => {
  assert.equal(named("gateway.port")?.option, "--port");
  assert.equal(named("gateway.mode")?.option, undefined);
  assert.equal(named("gateway.list")?.option, undefined);
});

test("each key has the field that fits it", () => {
  const kinds = Object.fromEntries(all.map((one) => [one.path.split(".").at(-1), one.kind]));
  assert.deepEqual(kinds, { port: "integer", mode: "choice", list: "list", rules: "json", on: "boolean", token: "secret", windowMs: "integer" });
  assert.deepEqual(named("gateway.mode").choices, ["a", "b"]);
  assert.equal(named("gateway.port").hot, false);
  assert.equal(named("gateway.list").hot, true);
});

for (const [path, text, value] of [
  ["gateway.port", " 7 ", 7],
  ["gateway.port", "", undefined],
  ["gateway.on", "true", true],
  ["gateway.on", "false", false],
  ["gateway.list", "a\n\n b \n", ["a", "b"]],
  ["gateway.rules", '[{"name": "x"}]', [{ name: "x" }]],
  ["gateway.mode", "b", "b"],
]) {
  test(`the text ${JSON.stringify(text)} of ${path} means its value`, () => {
    assert.deepEqual(valueOf(named(path), text), value);
    if (value !== undefined) assert.deepEqual(valueOf(named(path), textOf(named(path), value)), value);
  });
}

for (const [path, text] of [
  ["gateway.port", "seven"],
  ["gateway.port", "7.5"],
  ["gateway.rules", "{"],
]) {
  test(`the text ${JSON.stringify(text)} of ${path} is refused`, () => {
    assert.throws(() => valueOf(named(path), text), /whole number|no JSON/);
  });
}

test("changes become one merge patch, and what is taken out is null", () => {
  const changes = new Map([["gateway.port", 1], ["gateway.auth.token", undefined], ["gateway.auth.rateLimit.windowMs", 0]]);
  assert.deepEqual(patchOf(changes), { gateway: { port: 1, auth: { token: null, rateLimit: { windowMs: 0 } } } });
});

test("a value is found where it is, and nothing where nothing is", () => {
  assert.equal(valueAt({ a: { b: 1 } }, "a.b"), 1);
  assert.equal(valueAt({ a: 1 }, "a.b.c"), undefined);
  assert.equal(valueAt({}, "a.b"), undefined);
  assert.ok(same(["a"], ["a"]));
  assert.ok(!same(undefined, null));
});

// RFC 8032, section 7.1, tests 1 to 3; FIPS 180-4.
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (some) => Buffer.from(some).toString("hex");
for (const [secret, key, message, signature] of [
  ["9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"],
  ["4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"],
  ["c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"],
]) {
  test(`the vendored key signs ${message || "nothing"} as RFC 8032 does`, () => {
    assert.equal(hex(getPublicKey(bytes(secret))), key);
    assert.equal(hex(sign(bytes(message), bytes(secret))), signature);
  });
}

test("the vendored hash is SHA-256", () => {
  assert.equal(hex(sha256(Buffer.from("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});
