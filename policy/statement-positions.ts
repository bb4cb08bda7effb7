/** Where the statements of a policy stand in its text, as the policy simulator tells them. */

/** Lines and columns count from 1. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}
export interface TextRange {
  readonly start: TextPosition;
  /** Just past the closing brace. */
  readonly end: TextPosition;
}

/** Range of each statement in the order of the document, which must be one that compiles. */
export function statementRanges(text: string): TextRange[] {
  const ranges: TextRange[] = [];
  const position = positions(text);
  let depth = 0;
  let key = '';
  let statementDepth: number | undefined;
  let start = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (character === '"') {
      const end = endOfString(text, at);
      if (depth === 1) key = JSON.parse(text.slice(at, end)) as string;
      at = end - 1;
      // What comes before the colon is the key; a value that is a string is overwritten by the next key.
    } else if (character === '{' || character === '[') {
      if (depth === 1 && key === 'Statement') statementDepth = character === '[' ? 2 : 1;
      if (character === '{' && depth === statementDepth) start = at;
      depth += 1;
    } else if (character === '}' || character === ']') {
      depth -= 1;
      if (character === '}' && depth === statementDepth) {
        ranges.push({ start: position(start), end: position(at + 1) });
      }
      if (depth === 1) statementDepth = undefined;
    }
  }
  return ranges;
}

function endOfString(text: string, at: number): number {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}

function positions(text: string): (offset: number) => TextPosition {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    let line = starts.length - 1;
    while (starts[line]! > offset) line -= 1;
    return { line: line + 1, column: offset - starts[line]! + 1 };
  };
}
