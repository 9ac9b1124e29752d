// Which streams are shown, in which order: in the address, so that a link and a reload show the same.
import { SORTS, type StreamsQuery } from '../../hub/streams';
import { href } from '../../router';

/** What the address asks for. An order that the hub does not know is the default one. */
export function fromAddress(query: URLSearchParams): StreamsQuery {
  return {
    sort: SORTS.find((sort) => sort === query.get('sort')) ?? 'since',
    holder: query.get('holder') ?? '',
    topic: query.get('topic') ?? '',
    after: query.get('after') ?? '',
  };
}

/** The address that shows `query` with what is changed. Another order or other streams begin at the first page. */
export function address(query: StreamsQuery, changed: Partial<StreamsQuery>): string {
  const { sort, holder, topic, after } = { ...query, after: '', ...changed };
  return href('streams', '', { ...(sort === 'since' ? {} : { sort }), ...(holder && { holder }), ...(topic && { topic }), ...(after && { after }) });
}
