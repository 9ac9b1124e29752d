import { access, relayProviders } from '../../hub/access';
import { HUB } from '../../hub/address';
import { route } from '../../router';
import { Command } from '../../ui/copy';
import { Empty } from '../../ui/empty';
import { Refusal } from '../../ui/note';
import { Ask } from './ask';
import { RunList } from './run-list';
import { RunPage } from './run-page';
import './runs.css';

export function RunsView() {
  const { rest } = route.value;
  const providers = relayProviders();
  const state = access.value;
  if (state.state === 'failed') return <Refusal error={state.error} />;
  if (providers === null) return <NoRelay />;
  return (
    <div class="runs" data-run={rest !== ''}>
      {providers.length > 0 && <Ask providers={providers} />}
      <div class="runs-main">{rest ? <RunPage key={rest} id={rest} /> : <RunList ask={providers.length > 0} />}</div>
    </div>
  );
}

/** The relay is off: what it is for, and how it is switched on. */
function NoRelay() {
  return (
    <>
      <h1>Runs</h1>
      <Empty title="This hub relays no language model">
        <p>
          With the relay an app changes one line, the base URL of its SDK, and each answer of a model becomes durable: a reload or a lost connection loses nothing of it,
          anyone with a grant can watch it, and it can be stopped from anywhere.
        </p>
        <p>Start the hub with a provider. Its key stays in the hub.</p>
        <Command>{'OPENAI_API_KEY=sk-… gapless --relay openai'}</Command>
        <p>A model on your own machine works as well:</p>
        <Command>{'gapless --relay ollama'}</Command>
        <p>
          Other servers are configured; <a href={HUB + 'docs/RELAY.md'}>the relay's page</a> says how.
        </p>
      </Empty>
    </>
  );
}
