import { REGISTRY } from '../../src/wire/registry.ts';
import { Wire } from '../../src/wire/wire.ts';
import { Oracle } from './oracle.ts';

const wire = new Wire(REGISTRY);
const o = new Oracle('ec2');
const r = await o.call(
  'CopyImage',
  {
    Name: 'a b+ü',
    SourceImageId: 'ami-1',
    SourceRegion: 'x',
    Encrypted: true,
    TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'a', Value: 'b' }] }],
  },
  (req) => {
    const c = wire.claim(req)!;
    const op = c.operation!;
    console.log(c.operationName, Buffer.from(req.body).toString());
    console.dir(c.decode(op), { depth: 9 });
    return c.encode(op, { ImageId: 'ami-2' }, 'rid');
  },
);
console.log(r);
