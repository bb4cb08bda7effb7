/**
 * The frameworks that checks are mapped to, and where each mapping is from. `published`: AWS's documentation maps the
 * same check to the requirement. `reading`: the requirement's own text says what the check looks at; nobody but this
 * project claims that reading.
 */

export const FRAMEWORKS = {
  fsbp: {
    name: 'AWS Foundational Security Best Practices',
    short: 'AWS FSBP',
    source: 'Security Hub CSPM controls for Amazon EC2, and for AWS KMS',
    url: 'https://docs.aws.amazon.com/securityhub/latest/userguide/fsbp-standard.html',
  },
  cis: {
    name: 'CIS AWS Foundations Benchmark',
    short: 'CIS AWS',
    source: 'Security Hub CSPM controls, related requirements',
    url: 'https://docs.aws.amazon.com/securityhub/latest/userguide/cis-aws-foundations-benchmark.html',
  },
  pci: {
    name: 'PCI DSS v4.0.1',
    short: 'PCI DSS v4.0.1',
    source: 'PCI Security Standards Council, PCI DSS: Requirements and Testing Procedures, v4.0.1, June 2024',
    url: 'https://www.pcisecuritystandards.org/document_library/',
  },
  hipaa: {
    name: 'HIPAA Security Rule, 45 CFR 164.312',
    short: 'HIPAA',
    source: '45 CFR 164.312, Technical safeguards',
    url: 'https://www.ecfr.gov/current/title-45/subtitle-A/subchapter-C/part-164/subpart-C/section-164.312',
  },
  gdpr: {
    name: 'GDPR Article 32',
    short: 'GDPR',
    source: 'Regulation (EU) 2016/679, Article 32, Security of processing',
    url: 'https://eur-lex.europa.eu/eli/reg/2016/679/oj',
  },
  nist: {
    name: 'NIST SP 800-53 Rev. 5',
    short: 'NIST 800-53r5',
    source: 'NIST Special Publication 800-53 Revision 5',
    url: 'https://csrc.nist.gov/pubs/sp/800/53/r5/upd1/final',
  },
} as const;
export type FrameworkId = keyof typeof FRAMEWORKS;

export type Basis = 'published' | 'reading';

export interface Control {
  readonly framework: FrameworkId;
  readonly id: string;
  readonly title: string;
  readonly basis: Basis;
  /** Title and address of the page that has the mapping, or the requirement. */
  readonly source: { readonly title: string; readonly url: string };
}

const EC2_CONTROLS = 'https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html';
const KMS_CONTROLS = 'https://docs.aws.amazon.com/securityhub/latest/userguide/kms-controls.html';
const HIPAA_PACK = {
  title: 'AWS Config, Operational Best Practices for HIPAA Security',
  url: 'https://docs.aws.amazon.com/config/latest/developerguide/operational-best-practices-for-hipaa_security.html',
};

function hub(id: string): { readonly title: string; readonly url: string } {
  const page = id.startsWith('KMS') ? KMS_CONTROLS : EC2_CONTROLS;
  return { title: `Security Hub CSPM, [${id}]`, url: `${page}#${id.toLowerCase().replace('.', '-')}` };
}

const fsbp = (id: string, title: string): Control => ({
  framework: 'fsbp',
  id,
  title,
  basis: 'published',
  source: hub(id),
});
const byHub =
  (framework: FrameworkId) =>
  (id: string, title: string, control: string): Control => ({
    framework,
    id,
    title,
    basis: 'published',
    source: hub(control),
  });
const reading =
  (framework: FrameworkId) =>
  (id: string, title: string): Control => ({
    framework,
    id,
    title,
    basis: 'reading',
    source: { title: FRAMEWORKS[framework].source, url: FRAMEWORKS[framework].url },
  });

const nistByHub = byHub('nist');
const nist = reading('nist');
const pci = reading('pci');
const gdpr = reading('gdpr');
const hipaa = reading('hipaa');
const hipaaByPack = (id: string, title: string): Control => ({
  framework: 'hipaa',
  id,
  title,
  basis: 'published',
  source: HIPAA_PACK,
});

const ENCRYPTION_AT_REST = 'Protection of Information at Rest';
const CRYPTOGRAPHIC = 'Protection of Information at Rest | Cryptographic Protection';
const KEY_ESTABLISHMENT = 'Cryptographic Key Establishment and Management';

const GDPR_ENCRYPTION = gdpr('Art. 32(1)(a)', 'pseudonymisation and encryption of personal data');
const GDPR_CONFIDENTIALITY = gdpr('Art. 32(1)(b)', 'ongoing confidentiality, integrity, availability and resilience');
const GDPR_RESTORE = gdpr('Art. 32(1)(c)', 'restoring availability and access in a timely manner');
const HIPAA_ENCRYPTION = '164.312(a)(2)(iv)';
const HIPAA_ENCRYPTION_TITLE = 'Encryption and decryption (addressable)';
const HIPAA_ACCESS = hipaa('164.312(a)(1)', 'Access control');
/** 3.5.1.2: on media that stay in place, encryption of disks does not suffice alone to render PAN unreadable. */
const PCI_UNREADABLE = pci('3.5.1', 'PAN is rendered unreadable anywhere it is stored (necessary; see 3.5.1.2)');
const PCI_DENY_ALL = pci('7.3.3', 'The access control system is set to "deny all" by default');
const PCI_LEAST = pci('7.2.2', 'Access is assigned by job function and least privileges necessary');
const LEAST_PRIVILEGE = nist('AC-6', 'Least Privilege');
const ACCESS_ENFORCEMENT = nist('AC-3', 'Access Enforcement');

/** Sets of controls that several checks have in common. */
export const CONTROLS = {
  encryptionByDefault: [
    fsbp('EC2.7', 'EBS default encryption should be enabled'),
    byHub('cis')('v5.0.0 5.1.1', 'EBS volume encryption is enabled in all regions', 'EC2.7'),
    byHub('cis')('v3.0.0 2.2.1', 'EBS volume encryption is enabled in all regions', 'EC2.7'),
    PCI_UNREADABLE,
    hipaaByPack(HIPAA_ENCRYPTION, HIPAA_ENCRYPTION_TITLE),
    GDPR_ENCRYPTION,
    nistByHub('SC-28', ENCRYPTION_AT_REST, 'EC2.7'),
    nistByHub('SC-28(1)', CRYPTOGRAPHIC, 'EC2.7'),
    nistByHub('SC-13', 'Cryptographic Protection', 'EC2.7'),
  ],
  volumeEncryption: [
    fsbp('EC2.3', 'Attached EBS volumes should be encrypted at rest'),
    PCI_UNREADABLE,
    hipaaByPack(HIPAA_ENCRYPTION, HIPAA_ENCRYPTION_TITLE),
    GDPR_ENCRYPTION,
    nistByHub('SC-28', ENCRYPTION_AT_REST, 'EC2.3'),
    nistByHub('SC-28(1)', CRYPTOGRAPHIC, 'EC2.3'),
    nistByHub('SC-13', 'Cryptographic Protection', 'EC2.3'),
  ],
  encryptionAtRest: [
    PCI_UNREADABLE,
    hipaa(HIPAA_ENCRYPTION, HIPAA_ENCRYPTION_TITLE),
    GDPR_ENCRYPTION,
    nist('SC-28', ENCRYPTION_AT_REST),
    nist('SC-28(1)', CRYPTOGRAPHIC),
  ],
  templateEncryption: [
    fsbp('EC2.181', 'EC2 launch templates should enable encryption for attached EBS volumes'),
    PCI_UNREADABLE,
    hipaa(HIPAA_ENCRYPTION, HIPAA_ENCRYPTION_TITLE),
    GDPR_ENCRYPTION,
    nist('SC-28', ENCRYPTION_AT_REST),
    nist('SC-28(1)', CRYPTOGRAPHIC),
  ],
  approvedKey: [
    pci('3.6.1', 'Procedures protect cryptographic keys used to protect stored account data'),
    GDPR_ENCRYPTION,
    nist('SC-12', KEY_ESTABLISHMENT),
    nist('SC-28(1)', CRYPTOGRAPHIC),
  ],
  publicSnapshot: [
    fsbp('EC2.1', 'EBS snapshots should not be configured to be publicly restorable'),
    PCI_DENY_ALL,
    hipaaByPack('164.312(a)(1)', 'Access control'),
    GDPR_CONFIDENTIALITY,
    nistByHub('AC-3', 'Access Enforcement', 'EC2.1'),
    nistByHub('AC-6', 'Least Privilege', 'EC2.1'),
    nistByHub('AC-21', 'Information Sharing', 'EC2.1'),
  ],
  publicImage: [PCI_DENY_ALL, HIPAA_ACCESS, GDPR_CONFIDENTIALITY, ACCESS_ENFORCEMENT, LEAST_PRIVILEGE],
  blockPublicImages: [PCI_DENY_ALL, HIPAA_ACCESS, GDPR_CONFIDENTIALITY, ACCESS_ENFORCEMENT],
  blockPublicSnapshots: [
    fsbp('EC2.182', 'Block public access settings should be enabled for EBS snapshots'),
    PCI_DENY_ALL,
    HIPAA_ACCESS,
    GDPR_CONFIDENTIALITY,
    ACCESS_ENFORCEMENT,
  ],
  sharing: [PCI_LEAST, HIPAA_ACCESS, GDPR_CONFIDENTIALITY, LEAST_PRIVILEGE, nist('AC-21', 'Information Sharing')],
  availability: [GDPR_CONFIDENTIALITY, nist('CP-10', 'System Recovery and Reconstitution')],
  keyDeletion: [
    fsbp('KMS.3', 'AWS KMS keys should not be deleted unintentionally'),
    hipaa('164.312(c)(1)', 'Integrity: protection from improper alteration or destruction'),
    GDPR_RESTORE,
    nistByHub('SC-12', KEY_ESTABLISHMENT, 'KMS.3'),
    nistByHub('SC-12(2)', `${KEY_ESTABLISHMENT} | Symmetric Keys`, 'KMS.3'),
  ],
  keyAvailability: [
    GDPR_RESTORE,
    nist('SC-12', KEY_ESTABLISHMENT),
    nist('SC-12(1)', `${KEY_ESTABLISHMENT} | Availability`),
  ],
  rotation: [
    fsbp('KMS.4', 'AWS KMS key rotation should be enabled'),
    byHub('cis')('v5.0.0 3.6', 'Rotation of customer created symmetric keys is enabled', 'KMS.4'),
    byHub('cis')('v3.0.0 3.6', 'Rotation of customer created symmetric keys is enabled', 'KMS.4'),
    byHub('pci')('3.7.4', 'Cryptographic keys are changed at the end of their cryptoperiod', 'KMS.4'),
    hipaaByPack(HIPAA_ENCRYPTION, HIPAA_ENCRYPTION_TITLE),
    nistByHub('SC-12', KEY_ESTABLISHMENT, 'KMS.4'),
    nistByHub('SC-12(2)', `${KEY_ESTABLISHMENT} | Symmetric Keys`, 'KMS.4'),
    nistByHub('SC-28(3)', 'Protection of Information at Rest | Cryptographic Keys', 'KMS.4'),
  ],
  openKey: [
    fsbp('KMS.5', 'KMS keys should not be publicly accessible'),
    PCI_DENY_ALL,
    HIPAA_ACCESS,
    GDPR_CONFIDENTIALITY,
    ACCESS_ENFORCEMENT,
    LEAST_PRIVILEGE,
  ],
  provenance: [nist('CM-7(5)', 'Least Functionality | Authorized Software — Allow-by-exception')],
} as const satisfies Readonly<Record<string, readonly Control[]>>;
