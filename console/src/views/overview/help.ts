// The paragraphs of the hub's documents that help with what needs attention. A test checks that each exists.

export interface Help {
  document: 'OPERATIONS' | 'PROTOCOL' | 'SCALING' | 'RELAY';
  anchor: string;
  /** What the link says. */
  label: string;
}

const operations = (anchor: string, label: string): Help => ({ document: 'OPERATIONS', anchor, label });
const scaling = (anchor: string, label: string): Help => ({ document: 'SCALING', anchor, label });

export const HELP = {
  health: operations('health', 'Health'),
  stopping: operations('stopping', 'Stopping'),
  storageFull: operations('storage-full', 'When the disk is full'),
  storeUnavailable: operations('store-unavailable', 'When the store is unavailable'),
  disk: operations('disk', 'How much disk it takes'),
  damage: operations('damage', 'Damage'),
  clocks: operations('clocks', 'Clocks'),
  log: operations('the-log', 'The log'),
  descriptors: operations('file-descriptors', 'Connections and file descriptors'),
  limits: operations('limits-by-address-and-holder', 'Limits by address and holder'),
  access: operations('access', 'Access'),
  revoking: operations('revoking', 'Revoking'),
  otherSites: operations('other-sites', 'Other sites'),
  removal: operations('removing-an-event', 'Removing an event'),
  retention: operations('retention', 'Retention'),
  relay: operations('relay', 'Relay'),
  proxy: operations('behind-a-proxy', 'Behind a proxy'),
  stats: operations('stats', 'What each figure means'),
  configuration: operations('configuration', 'Every setting'),
  firstLimits: scaling('what-gives-way-first', 'Limits, and what to change'),
} satisfies Record<string, Help>;

/** For refusals with a code of docs/PROTOCOL.md: the operator's paragraph, or what it tells the client. */
export function helpForCode(code: string): Help {
  switch (code) {
    case 'storage-full':
      return HELP.storageFull;
    case 'store-unavailable':
      return HELP.storeUnavailable;
    case 'draining':
      return HELP.stopping;
    case 'over-capacity':
      return HELP.firstLimits;
    case 'rate-limited':
      return HELP.limits;
    case 'unauthorized':
    case 'forbidden':
    case 'keys-unavailable':
      return HELP.access;
    case 'origin-forbidden':
      return HELP.otherSites;
    case 'host-unknown':
      return HELP.proxy;
    case 'upstream-unreachable':
    case 'upstream-failed':
    case 'upstream-timeout':
      return HELP.relay;
    default:
      return { document: 'PROTOCOL', anchor: code, label: `What ${code} means` };
  }
}

/** Its address, relative to the page. */
export const helpHref = ({ document, anchor }: Help): string => `docs/${document}.md#${anchor}`;
