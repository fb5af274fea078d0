// @ts-check
/** How a command is typed where the gateway runs: in a container, for a profile, or plainly. */

const PLAIN = { command: "openclaw", where: "gateway-host" };
let typed = PLAIN;

/** Note what the gateway told of itself; undefined stands for the plain words. @param {{command: string, where: string} | undefined} told */
export function noteHost(told) {
  typed = told ?? PLAIN;
}

/**
 * Return a command for the gateway's machine as it is typed there, and where that is. One that is
 * spelt out already, or names a profile, stays as it is.
 *
 * @param {string} command
 * @returns {{text: string, where: string}}
 */
export function typedThere(command) {
  if (command.startsWith(`${typed.command} `)) return { text: command, where: typed.where };
  const own = !command.startsWith("openclaw ") || /^openclaw (?:--[a-z-]+(?: [^-\s]\S*)? )*--(?:dev|profile)\b/.test(command);
  return own ? { text: command, where: PLAIN.where } : { text: typed.command + command.slice("openclaw".length), where: typed.where };
}
