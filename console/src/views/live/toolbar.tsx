import { brief, count } from '../../format';
import { oneLine } from '../../text';
import { CutPanel } from './cut-panel';
import { type Choice, DISPLAYS, type Display } from './detect';
import type { Filter } from './filter';
import { useTick } from './hooks';
import type { Watch } from './watch';

const LABELS: Record<Choice, string> = { auto: 'Auto', text: 'Text', json: 'Pretty JSON', kinds: 'By kind' };

interface ToolbarProps {
  watch: Watch;
  choice: Choice;
  display: Display;
  onChoice(choice: Choice): void;
  filter: Filter;
  onFilter(filter: Filter): void;
}

export function Toolbar({ watch, choice, display, onChoice, filter, onFilter }: ToolbarProps) {
  return (
    <div class="live-tools">
      <PauseButton watch={watch} />
      <div class="live-displays" role="group" aria-label="Display">
        {DISPLAYS.map((name) => (
          <button
            key={name}
            type="button"
            class="small"
            aria-pressed={name === choice}
            aria-label={LABELS[name]}
            aria-description={name === 'auto' && choice === 'auto' ? LABELS[display] : undefined}
            onClick={() => onChoice(name)}
          >
            {LABELS[name]}
          </button>
        ))}
      </div>
      {display !== 'kinds' && <Filters watch={watch} filter={filter} onFilter={onFilter} />}
      <div class="live-cutting">
        <CutPanel watch={watch} />
      </div>
    </div>
  );
}

function PauseButton({ watch }: { watch: Watch }) {
  useTick(250);
  const { store } = watch;
  return store.paused ? (
    <button type="button" class="live-pause" data-paused="true" onClick={() => store.resume()}>
      Resume
      <span class="live-new">{count(store.waiting)} new</span>
    </button>
  ) : (
    <button type="button" class="live-pause" onClick={() => store.pause()}>
      Pause
    </button>
  );
}

function Filters({ watch, filter, onFilter }: { watch: Watch; filter: Filter; onFilter(filter: Filter): void }) {
  useTick(500);
  const { names, otherNames } = watch.store;
  const seen = [...names].filter(([name]) => name !== 'hub.removed').sort((one, other) => other[1] - one[1]);
  return (
    <div class="live-filters">
      <label>
        <select aria-label="Event name" value={filter.name ?? ''} onChange={(event) => onFilter({ ...filter, name: event.currentTarget.value || null })}>
          <option value="">All names</option>
          {filter.name !== null && !names.has(filter.name) && <option value={filter.name}>{oneLine(filter.name)} (0)</option>}
          {seen.map(([name, times]) => (
            <option key={name} value={name}>
              {oneLine(name)} ({brief(times)})
            </option>
          ))}
          {otherNames > 0 && <option disabled>other names ({brief(otherNames)})</option>}
        </select>
      </label>
      <label class="grow">
        <span class="hidden">Filter by text</span>
        <input
          type="search"
          placeholder="Filter by text"
          spellcheck={false}
          autocomplete="off"
          value={filter.text}
          onInput={(event) => onFilter({ ...filter, text: event.currentTarget.value })}
        />
      </label>
    </div>
  );
}
