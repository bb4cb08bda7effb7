#!/usr/bin/env node
import './fit-node.js';

await import(process.argv[2] === 'serve' ? '../src/main.ts' : '../cli/main.ts');
