// The page of page.test.ts: the README's component, and one with a log from outside, under StrictMode.
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { EventLog, useEvents } from 'gapless/react';
import { Answer } from './readme-4.js';

const url = new URLSearchParams(location.search).get('hub')!;
const log = new EventLog({ url, topics: 'shared', from: 'earliest', limit: 5 });

function Shared({ id }: { id: string }) {
  const { items, status } = useEvents(log);
  return (
    <p id={id} title={status}>
      {items.map((item) => (item.type === 'event' ? item.data : item.type)).join(' ')}
    </p>
  );
}

function App() {
  const [shown, show] = useState(true);
  const [topic, choose] = useState('one');
  return (
    <>
      <button onClick={() => show(!shown)}>show</button>
      <button onClick={() => choose('two')}>two</button>
      {shown && <Shared id="first" />}
      {shown && <Shared id="second" />}
      <div id="answer">
        <Answer url={url} topic={topic} />
      </div>
    </>
  );
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
