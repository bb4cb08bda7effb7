/** docs/tools/audit-controls.md says what the table of checks says, and each mapping has its source. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { CHECKS } from '../../cli/audit/check-table.ts';
import { AUDIT_CONTROLS, auditControlsText } from '../../scripts/audit-controls.ts';

describe('docs/tools/audit-controls.md', () => {
  it('is up to date', async () => {
    const written = await readFile(AUDIT_CONTROLS, 'utf8');
    assert.ok(written === auditControlsText(), 'out of date: run npx node scripts/audit-controls.ts');
  });

  it('gives each check an id of its own, words, and controls with a source', () => {
    assert.equal(new Set(CHECKS.map(({ id }) => id)).size, CHECKS.length);
    for (const { id, title, why, needs, controls } of CHECKS) {
      assert.match(id, /^ING-(AMI|EBS|EC2|KMS|LT|SHR)-\d{3}$/);
      assert.match(title, /^[A-Z].*[^.]$/, id);
      assert.match(why, /\.$/, id);
      assert.ok(needs.length > 0 && controls.length > 0, id);
      for (const { source } of controls) assert.ok(source.title && URL.canParse(source.url), id);
      const keys = controls.map(({ framework, id: control }) => `${framework} ${control}`);
      assert.equal(new Set(keys).size, keys.length, `${id} names a control twice`);
    }
  });
});
