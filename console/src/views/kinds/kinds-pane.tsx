// The events of Live by their kind: each topic as what it is.
import { useEffect, useMemo, useReducer, useRef, useState } from 'preact/hooks';
import { plural } from '../../format';
import { Empty } from '../../ui/empty';
import type { LiveItem } from '../live/entry';
import type { LiveStore } from '../live/live-store';
import { DesktopSwitch, EinkSwitch } from './kinds-tools';
import './kinds.css';
import './kinds-lists.css';
import { KindsModel } from './model';
import type { Kind, KindEvent } from './reading';
import { Redraw } from './redraw';
import { eink } from './settings';
import { tell } from './tell';
import { TopicCard } from './topic-card';

/** Shortest time between two tellings of notifications, in milliseconds: a person reads no faster. */
const TELLING = 1000;
/** How often what depends on the time is drawn, in milliseconds. */
const TICK = 1000;

function* eventsOf(items: Iterable<LiveItem>): Generator<KindEvent> {
  for (const item of items) if (item.kind === 'event') yield item;
}

export function KindsPane({ store }: { store: LiveStore }) {
  const model = useMemo(() => new KindsModel(), [store]);
  const [drawn, draw] = useReducer<number, void>((before) => before + 1, 0);
  const redraw = useMemo(() => new Redraw(() => draw()), []);
  const [toasts, setToasts] = useState(true);
  const toasting = useRef(toasts);
  toasting.current = toasts;
  /** Milliseconds by which this browser's clock is ahead of the hub's. */
  const ahead = useRef(0);
  redraw.paper = eink.value;

  useEffect(() => {
    const take = (batch: Iterable<LiveItem>) => {
      for (const item of batch) {
        if (item.kind === 'event') {
          model.push(item);
          if (!item.replayed) ahead.current = item.at - Date.parse(item.time);
        } else if (item.mark.type === 'end') model.end(item.mark.end.topic);
        else if (item.mark.type === 'gap') model.gap(item.mark.gap.topic);
      }
      redraw.request();
    };
    model.clear();
    take(store.events);
    // What was there before this display is not news.
    model.tell();
    const ends = [
      store.subscribe(take),
      store.onReset(() => {
        model.clear();
        redraw.request();
      }),
    ];
    const telling = setInterval(() => {
      const told = model.tell();
      if (toasting.current) tell(told);
    }, TELLING);
    const tick = setInterval(() => model.shown.some(({ progress, tokens }) => progress.bars.size > 0 || tokens.texts.length > 0) && redraw.request(), TICK);
    return () => {
      for (const end of ends) end();
      clearInterval(telling);
      clearInterval(tick);
      redraw.stop();
    };
  }, [store, model]);

  const choose = (topic: string, kind: Kind | null) => {
    model.choose(topic, kind, eventsOf(store.events));
    redraw.request();
  };
  const { shown } = model;
  const notices = shown.some((topic) => topic.notices.length > 0);
  return (
    <section class="kinds" data-eink={eink.value} aria-label="Events by kind">
      <div class="kinds-tools">
        <EinkSwitch />
        {notices && (
          <label class="check">
            <input type="checkbox" role="switch" checked={toasts} onChange={(event) => setToasts(event.currentTarget.checked)} />
            Toasts
          </label>
        )}
        {notices && <DesktopSwitch />}
        {model.dropped > 0 && <span class="muted">{plural(model.dropped, 'more topic')} not shown: the newest {shown.length} are.</span>}
      </div>
      {shown.length ? (
        <div class="kinds-topics">
          {shown.map((topic) => (
            <TopicCard key={topic.topic} display={topic} drawn={drawn} now={Date.now() - ahead.current} onChoose={(kind) => choose(topic.topic, kind)} />
          ))}
        </div>
      ) : (
        <Empty title="Nothing to show by kind yet">
          <p>
            When events come, each topic is shown as what it is: the tokens of a model as text that types itself, progress as bars with the time left, logs with
            levels, notifications as toasts, images and sound as themselves. Nothing has to be configured, and another kind can be chosen for a topic.
          </p>
        </Empty>
      )}
    </section>
  );
}
