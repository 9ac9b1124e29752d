import { brief, count, milliseconds } from '../../format';
import type { Stats } from '../../hub/types';
import { href } from '../../router';
import { oneLine } from '../../text';

/** The relay's runs, and what each provider has answered. */
export function RelayFigures({ relay }: { relay: Stats['relay'] }) {
  const providers = Object.entries(relay.providers);
  return (
    <section class="card relay-figures" aria-labelledby="relay-figures">
      <h2 id="relay-figures">
        Relay <a href={href('runs')}>Runs</a>
      </h2>
      <dl class="readings">
        <div>
          <dt>running</dt>
          <dd class="reading">{count(relay.running)}</dd>
          <dd class="muted">{count(relay.viewers)} watching</dd>
        </div>
        <div>
          <dt>joined</dt>
          <dd class="reading">{brief(relay.joined_total)}</dd>
          <dd class="muted">not asked twice</dd>
        </div>
        <div>
          <dt>added by the hub, p99</dt>
          <dd class="reading">{milliseconds(relay.added_ms.p99)}</dd>
          <dd class="muted">first frame {milliseconds(relay.first_added_ms.p99)}</dd>
        </div>
      </dl>
      {providers.length > 0 && (
        <table class="busy">
          <thead>
            <tr>
              <th scope="col">Provider</th>
              <th scope="col" class="number">
                Runs
              </th>
              <th scope="col" class="number wide-only">
                Not completed
              </th>
              <th scope="col" class="number">
                Refused
              </th>
              <th scope="col" class="number">
                Tokens in
              </th>
              <th scope="col" class="number">
                Tokens out
              </th>
            </tr>
          </thead>
          <tbody>
            {providers.map(([name, { runs_total, refused_total, input_tokens_total, output_tokens_total }]) => {
              const ended = sum(runs_total);
              return (
                <tr key={name}>
                  <td class="foreign">{oneLine(name)}</td>
                  <td class="number">{brief(ended)}</td>
                  <td class="number wide-only">{brief(ended - (runs_total.completed ?? 0))}</td>
                  <td class="number">{brief(sum(refused_total))}</td>
                  <td class="number">{brief(input_tokens_total)}</td>
                  <td class="number">{brief(output_tokens_total)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </section>
  );
}

const sum = (numbers: Record<string, number>) => Object.values(numbers).reduce((total, each) => total + each, 0);
