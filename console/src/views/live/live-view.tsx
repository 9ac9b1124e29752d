import './live.css';
import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { title } from '../../app';
import { access, maySubscribe } from '../../hub/access';
import { token } from '../../hub/credential';
import { href, navigate, route } from '../../router';
import { oneLine } from '../../text';
import { Refusal } from '../../ui/note';
import { KindsPane } from '../kinds/kinds-pane';
import { CutReport } from './cut-panel';
import { Detail } from './detail';
import { type Choice, DISPLAYS } from './detect';
import type { LiveEvent } from './entry';
import { EventList } from './event-list';
import type { Filter } from './filter';
import { type From, parseFrom, writeFrom } from './from';
import { ReadBack } from './read-back';
import { RecentMarks } from './recent-marks';
import { StateLine } from './state-line';
import { Toolbar } from './toolbar';
import { useDisplay } from './use-display';
import { Intro, NoEvents } from './waiting';
import { Watch } from './watch';
import { WatchForm } from './watch-form';

/** Where a stream begins that is begun here. */
const FIRST_FROM: From = { kind: 'last', value: '100' };

/** What the form begins with: something that may be watched. */
function firstTopic(): string {
  const state = access.value;
  return maySubscribe('demo') || state.state !== 'known' ? 'demo' : (state.who.subscribe[0] ?? 'demo');
}

export function LiveView() {
  const { query } = route.value;
  const topic = query.get('topic') ?? '';
  const since = query.get('since');
  const from = topic ? parseFrom(query.get('from') ?? (since && `since:${since}`)) : FIRST_FROM;
  const choice: Choice = DISPLAYS.find((known) => known === query.get('view')) ?? 'auto';
  const [{ watch, readBack }] = useState(() => {
    const made = new Watch();
    return { watch: made, readBack: new ReadBack(made) };
  });
  const [turn, again] = useReducer<number, void>((before) => before + 1, 0);
  const start = writeFrom(from);

  useEffect(() => {
    if (topic) watch.start({ topic, from });
    else watch.stop();
    if (topic) title(`${oneLine(topic)} · Live`);
  }, [topic, start, turn]);
  useEffect(() => () => watch.stop(), []);
  useToken(watch);

  const go = (to: string, begin: From, display: Choice = choice) => {
    const target = href('live', '', { topic: to, from: writeFrom(begin), ...(display !== 'auto' && { view: display }) });
    // The same again: from its beginning.
    if (target === location.hash) again();
    else navigate(target);
  };
  return (
    <div class="live">
      <h1 class="hidden">Live</h1>
      <WatchForm topic={topic || firstTopic()} from={from} watching={topic !== ''} onWatch={go} />
      {topic ? (
        <Watching
          watch={watch}
          readBack={readBack}
          choice={choice}
          onChoice={(display) => navigate(href('live', '', { topic, from: start, ...(display !== 'auto' && { view: display }) }), { replace: true })}
        />
      ) : (
        <Intro first={firstTopic()} to={(chosen) => href('live', '', { topic: chosen, from: writeFrom(FIRST_FROM) })} />
      )}
    </div>
  );
}

/** With another token the stream continues; without the token, what needed it does not stay in the page. */
function useToken(watch: Watch) {
  const held = token();
  const before = useRef(held);
  useEffect(() => {
    if (before.current === held) return;
    before.current = held;
    const selection = watch.selection.value;
    if (held === null && selection && watch.state.value.name !== 'closed') watch.start(selection);
    else watch.again();
  }, [held]);
}

interface WatchingProps {
  watch: Watch;
  readBack: ReadBack;
  choice: Choice;
  onChoice(choice: Choice): void;
}

function Watching({ watch, readBack, choice, onChoice }: WatchingProps) {
  const { display, empty } = useDisplay(watch, choice);
  const [filter, setFilter] = useState<Filter>({ name: null, text: '' });
  const [selected, select] = useState<LiveEvent | null>(null);
  const [open, setOpen] = useState(false);
  useEffect(
    () =>
      watch.store.onReset(() => {
        setFilter({ name: null, text: '' });
        select(null);
        setOpen(false);
      }),
    [],
  );
  const close = () => {
    setOpen(false);
    document.querySelector<HTMLElement>('.live-scroll')?.focus({ preventScroll: true });
  };
  const state = watch.state.value;
  return (
    <>
      <StateLine watch={watch} />
      <CutReport watch={watch} />
      {!empty && state.name === 'refused' && <Refusal error={state.error} retry={() => watch.again()} />}
      <Toolbar watch={watch} choice={choice} display={display} onChoice={onChoice} filter={filter} onFilter={setFilter} />
      {empty ? (
        <NoEvents watch={watch} />
      ) : display === 'kinds' ? (
        <div class="live-kinds">
          <h2 class="hidden">By kind</h2>
          <RecentMarks store={watch.store} />
          <KindsPane store={watch.store} />
        </div>
      ) : (
        <div class="live-panes" data-open={open}>
          <EventList
            watch={watch}
            readBack={readBack}
            pretty={display === 'json'}
            filter={filter}
            selected={selected?.n ?? null}
            onSelect={select}
            onOpen={() => setOpen(true)}
            onClose={() => (open ? close() : select(null))}
          />
          {open && selected && <Detail store={watch.store} event={selected} onClose={close} />}
        </div>
      )}
    </>
  );
}
