// @ts-check
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { noteHost, typedThere } from "../../gateway/ui/host.js";

const IN_A_CONTAINER = { command: "docker exec 3f9c0a7be214 openclaw", where: "container" };

beforeEach(() => noteHost(undefined));

test("a gateway that told nothing has its commands shown plainly", () => {
  assert.deepEqual(typedThere("openclaw doctor"), { text: "openclaw doctor", where: "gateway-host" });
});

test("a command of a container is typed through its engine", () => {
  noteHost(IN_A_CONTAINER);
  assert.deepEqual(typedThere("openclaw doctor"), { text: "docker exec 3f9c0a7be214 openclaw doctor", where: "container" });
});

test("a command that is spelt out stays as it is", () => {
  noteHost(IN_A_CONTAINER);
  for (const text of ["docker exec 3f9c0a7be214 openclaw doctor", "ssh -L 18789:127.0.0.1:18789 host", "openclaw --profile work doctor", "openclaw --log-level warn --dev doctor"]) {
    assert.equal(typedThere(text).text, text);
  }
  assert.equal(typedThere("docker exec 3f9c0a7be214 openclaw doctor").where, "container");
});

test("a profile is added once", () => {
  noteHost({ command: "openclaw --profile work", where: "gateway-host" });
  assert.equal(typedThere("openclaw doctor").text, "openclaw --profile work doctor");
  assert.equal(typedThere("openclaw --profile work doctor").text, "openclaw --profile work doctor");
});
