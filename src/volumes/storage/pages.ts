/** Map pages in the database, with a bounded cache of what was read lately. */
import type { Kysely } from 'kysely';
import type { PageSink, PageSource } from '../../blocks/block-map.ts';
import { Lru } from '../../blocks/lru.ts';
import { checkPage, EMPTY_ROOT, EMPTY_ROOT_PAGE, type Page, type PageId } from '../../blocks/map-page.ts';
import type { Db, Tx } from '../../db/db.ts';
import { IntegrityError } from '../../errors.ts';
import type { StorageTables } from './tables.ts';

const CACHE_BYTES = 16 * 1024 * 1024;

export class PageStore implements PageSource {
  readonly #db: Db;
  readonly #cache = new Lru<Page>(CACHE_BYTES, (page) => page.byteLength);

  constructor(db: Db) {
    this.#db = db;
  }

  async load(id: PageId, level: number): Promise<Page> {
    return this.#load(id, level, this.#db.read<StorageTables>());
  }

  async #load(id: PageId, level: number, rows: Kysely<StorageTables>): Promise<Page> {
    if (id === EMPTY_ROOT) return EMPTY_ROOT_PAGE;
    const cached = this.#cache.get(id);
    if (cached && cached[4] === level) return cached;
    const row = await rows
      .selectFrom('storage_pages')
      .select('bytes')
      .where('id', '=', Buffer.from(id, 'hex'))
      .executeTakeFirst();
    if (!row) throw new IntegrityError(`map page ${id}`);
    const page = checkPage(id, row.bytes, level);
    this.#cache.set(id, page);
    return page;
  }

  /** Reads and writes within one transaction, its own unsaved pages included. */
  within(tx: Tx): PageSource & PageSink {
    const rows = tx.as<StorageTables>();
    return {
      load: (id, level) => this.#load(id, level, rows),
      save: async (id, page) => {
        await rows
          .insertInto('storage_pages')
          .values((insert) => ({
            id: Buffer.from(id, 'hex'),
            level: page[4]!,
            bytes: page,
            touched: insert.selectFrom('storage_collection').select('number'),
          }))
          .onConflict((conflict) =>
            conflict.column('id').doUpdateSet((update) => ({ touched: update.ref('excluded.touched') })),
          )
          .execute();
      },
    };
  }
}
