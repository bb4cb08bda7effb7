#!/usr/bin/env node
// Plain JavaScript, so that a Node.js that is too old gets a sentence and not a syntax error.
const [major] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(`Ingot needs Node.js 24 or newer; this is ${process.version}.`);
  process.exit(1);
}
await import(process.argv[2] === 'serve' ? '../src/main.ts' : '../cli/main.ts');
