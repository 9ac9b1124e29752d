import { useEffect, useReducer, useState } from 'preact/hooks';
import type { LiveStore } from './live-store';

/** Draws the component again at most once a frame after changes of the store; not while the tab is hidden. */
export function useFrames(store: LiveStore, draw: () => boolean): () => void {
  const [, turn] = useReducer<number, void>((before) => before + 1, 0);
  const [frames] = useState(() => ({ asked: 0, draw }));
  frames.draw = draw;
  const ask = () => {
    frames.asked ||= requestAnimationFrame(() => {
      frames.asked = 0;
      // More to do: in the next frame.
      if (frames.draw()) ask();
      turn();
    });
  };
  useEffect(() => {
    const stop = store.onChange(ask);
    ask();
    return () => {
      stop();
      cancelAnimationFrame(frames.asked);
      frames.asked = 0;
    };
  }, [store]);
  return ask;
}

/** Draws the component again every so many milliseconds, for what changes with time. */
export function useTick(every: number): void {
  const [, turn] = useReducer<number, void>((before) => before + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => turn(), every);
    return () => clearInterval(timer);
  }, [every]);
}
