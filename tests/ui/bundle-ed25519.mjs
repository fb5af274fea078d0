// Makes gateway/ui/vendor/ed25519.js anew from the published packages and prints it; the notice at its head is left out.
//   node tests/ui/bundle-ed25519.mjs FOLDER, the one that holds node_modules
import { createRequire } from "node:module";

const folder = process.argv[2];
const { build } = createRequire(`${folder}/`)("esbuild");
const entry = `
import { getPublicKey, hashes, sign, utils } from "@noble/ed25519";
import { sha256, sha512 } from "@noble/hashes/sha2.js";

hashes.sha512 = sha512;
export { getPublicKey, sha256, sign };
export const randomSecretKey = utils.randomSecretKey;
`;
const made = await build({
  stdin: { contents: entry, resolveDir: folder, sourcefile: "entry.js" },
  absWorkingDir: folder,
  bundle: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  write: false,
});
process.stdout.write(made.outputFiles[0].text.replaceAll("// node_modules/", "// "));
