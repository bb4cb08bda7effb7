/** The style of the HTML report: light and dark, narrow and wide, and paper. Colours never say anything alone. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #16191f; --soft: #545b64; --paper: #fff; --line: #d5dbdb; --wash: #f4f6f8;
  --critical: #8b0f1a; --high: #b5390b; --medium: #7a5400; --low: #0b5c8a; --unseen: #6b2f8f; --good: #1b6b30; }
@media (prefers-color-scheme: dark) { :root { --ink: #e9ebed; --soft: #a9b1ba; --paper: #10141a; --line: #363f4a;
  --wash: #1a2029; --critical: #ff8f99; --high: #ffa07a; --medium: #f2c14e; --low: #7cc4f2; --unseen: #d6a5f3; --good: #7fd896; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.8rem; margin: 0 0 .25rem; } h2 { font-size: 1.35rem; margin: 2.5rem 0 .75rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .25rem; }
header p, footer, .where, .id { color: var(--soft); } .id { font-weight: 400; }
p { margin: .4rem 0; max-width: 72ch; }
code, pre { font: .85em/1.5 ui-monospace, monospace; overflow-wrap: anywhere; } .whole { white-space: nowrap; }
pre { background: var(--wash); padding: .6rem .8rem; border-radius: 4px; white-space: pre-wrap; margin: .5rem 0; }
nav ul, .cards { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; }
a { color: var(--low); } :focus-visible { outline: 3px solid var(--low); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
.cards { gap: .75rem; }
.card { flex: 1 1 7rem; border: 1px solid var(--line); border-left: 6px solid currentColor; border-radius: 4px; padding: .6rem .9rem; }
.card strong { display: block; font-size: 2rem; line-height: 1.1; } .card.none { color: var(--soft); }
.critical { color: var(--critical); } .high { color: var(--high); } .medium { color: var(--medium); } .low { color: var(--low); }
.unseen { color: var(--unseen); } .informational { color: var(--soft); }
.badge { border: 1px solid currentColor; border-radius: 3px; padding: 0 .4rem; font-size: .75rem; font-weight: 700; text-transform: uppercase; letter-spacing: .04em; }
.count { border-radius: 99px; background: var(--wash); padding: 0 .55rem; font-size: .85rem; font-weight: 400; }
.map { display: inline-block; border: 1px solid var(--line); border-radius: 3px; padding: 0 .35rem; font-size: .75rem; color: var(--soft); margin-bottom: .2rem; }
.maps { max-width: none; }
.finding { border: 1px solid var(--line); border-radius: 4px; padding: .6rem .9rem; margin: .6rem 0; }
.what { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: baseline; } .what code { font-weight: 700; }
summary { cursor: pointer; color: var(--soft); } dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .875rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; } .result { font-weight: 600; } .result.failed { color: var(--critical); } .result.passed { color: var(--good); }
footer { margin-top: 3rem; font-size: .85rem; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
@media print { :root { --ink: #000; --paper: #fff; } body { max-width: none; padding: 0; font-size: 9.5pt; } nav, .skip { display: none; }
  article > p, caption { break-after: avoid; } .scroll { overflow: visible; } .finding, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } thead { display: table-header-group; }
  details::details-content { content-visibility: visible; display: block; } @page { margin: 16mm; } }
`;
