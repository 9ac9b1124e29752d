// The list is read again every few seconds, but not under the pointer or the keyboard's focus: nobody ends the wrong stream.
import type { RefObject } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { duration } from '../../format';
import type { StreamsPage } from '../../hub/types';
import type { Resource } from '../../ui/resource';

/** Between two readings, in milliseconds. */
const EVERY = 5000;
/** Between two looks at the pointer and at the age, in milliseconds. */
const TICK = 1000;

export interface Refresh {
  paused: boolean;
  /** Of the list that is shown, in milliseconds; null when none is. */
  age: number | null;
  /** Of the element within which the pointer or the focus pauses it. */
  place: RefObject<HTMLDivElement>;
}

/** Whether somebody is about to use what is in it. A finger that has touched it is gone. */
function isInUse(place: HTMLElement | null): boolean {
  if (!place?.firstElementChild) return false;
  return (matchMedia('(hover: hover)').matches && place.matches(':hover')) || place.querySelector(':focus-visible') !== null;
}

export function useRefresh({ value, loading, reload }: Resource<StreamsPage>): Refresh {
  const place = useRef<HTMLDivElement>(null);
  const [{ now, paused }, look] = useState(() => ({ now: Date.now(), paused: false }));
  const shown = useRef<{ value: StreamsPage | null; since: number }>({ value: null, since: 0 });
  if (value !== shown.current.value) shown.current = { value, since: Date.now() };
  const attempted = useRef(Date.now());
  const tick = useRef(() => {});
  tick.current = () => {
    const inUse = isInUse(place.current);
    look({ now: Date.now(), paused: inUse });
    if (inUse || loading || document.hidden || Date.now() - attempted.current < EVERY) return;
    attempted.current = Date.now();
    reload();
  };
  useEffect(() => {
    const timer = setInterval(() => tick.current(), TICK);
    return () => clearInterval(timer);
  }, []);
  return { paused, age: value && Math.max(0, now - shown.current.since), place };
}

/** How old the list is, and a button that reads it again. */
export function Freshness({ paused, age, reload }: Pick<Refresh, 'paused' | 'age'> & { reload(): void }) {
  const old = age === null || age < 2000 ? 'now' : `${duration(Math.floor(age / 1000) * 1000)} ago`;
  return (
    <div class="freshness">
      {age !== null && <span class="muted">{paused ? `Paused while you are in the list · read ${old}` : `Read ${old}`}</span>}
      <button type="button" class="small" onClick={reload}>
        Refresh
      </button>
    </div>
  );
}
