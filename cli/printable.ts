/** Text from elsewhere on a terminal: names, tags and messages are written by whoever owns a resource. */

/** Everything that steers a terminal, except line ends, tabs, and the styles (SGR) that these tools write themselves. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this is about
const STEERING = /\u001b(?!\[[\d;]*m)|(?![\n\t\u001b])\p{Cc}|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The text with every character that would steer a terminal, or turn the direction of its letters, shown as `�`. */
export function printable(text: string): string {
  return text.replace(STEERING, '\ufffd');
}
