// The frame of the page: navigation, the token, the theme, and the view that the address names.
import { useSignalEffect } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { access, mayOperate, relayProviders } from './hub/access';
import { type View, href, navigate, route } from './router';
import { Toasts } from './ui/toasts';
import { ThemeSwitch } from './ui/theme-switch';
import { TokenButton, TokenDialog } from './ui/token-dialog';
import { LiveView } from './views/live/live-view';
import { OverviewView } from './views/overview/overview-view';
import { RunsView } from './views/runs/runs-view';
import { StreamsView } from './views/streams/streams-view';
import { TopicsView } from './views/topics/topics-view';

interface Entry {
  view: View;
  label: string;
  shown(): boolean;
}

const ENTRIES: Entry[] = [
  { view: 'overview', label: 'Overview', shown: mayOperate },
  { view: 'topics', label: 'Topics', shown: () => true },
  { view: 'live', label: 'Live', shown: () => true },
  { view: 'streams', label: 'Streams', shown: mayOperate },
  { view: 'runs', label: 'Runs', shown: () => relayProviders() !== null },
];

const VIEWS = { overview: OverviewView, topics: TopicsView, live: LiveView, streams: StreamsView, runs: RunsView };

/** The title of a view; a view with a subject sets its own. */
export function title(text: string): void {
  document.title = `${text} · gapless`;
}

export function App() {
  const { view } = route.value;
  const known = access.value.state !== 'unknown';
  // Who may not read the hub's figures begins with the events.
  useSignalEffect(() => {
    if (route.value.view === null && access.value.state !== 'unknown') navigate(href(mayOperate() ? 'overview' : 'live'), { replace: true });
  });
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  // Before the effects of the view, which may have a title of its own.
  useLayoutEffect(() => {
    if (view !== null) title(ENTRIES.find((entry) => entry.view === view)!.label);
  }, [view]);
  useEffect(() => {
    if (view === null) return;
    // A screen reader continues in the new view, and not in the navigation.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [view]);
  const Shown = view && VIEWS[view];
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to content
      </a>
      <header class="frame">
        <a class="brand" href={href(mayOperate() ? 'overview' : 'live')}>
          gapless
        </a>
        <nav aria-label="Views">
          {ENTRIES.filter((entry) => entry.shown()).map((entry) => (
            <a key={entry.view} href={href(entry.view)} aria-current={entry.view === view ? 'page' : undefined}>
              {entry.label}
            </a>
          ))}
        </nav>
        <div class="frame-tools">
          <TokenButton />
          <ThemeSwitch />
        </div>
      </header>
      <main id="main" ref={main} tabIndex={-1} data-view={view ?? ''}>
        {known && Shown && <Shown />}
      </main>
      <TokenDialog />
      <Toasts />
    </>
  );
}
