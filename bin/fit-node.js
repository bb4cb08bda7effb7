// Plain JavaScript, so that a Node.js that is too old gets a sentence and not a syntax error.
const [major] = process.versions.node.split('.').map(Number);
if (major < 24) {
  console.error(
    `Ingot needs Node.js 24 or newer and this is ${process.version}: \`npm ci\` brings one along, for npm scripts and npx.`,
  );
  process.exit(1);
}
