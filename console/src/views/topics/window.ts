import type { RefObject } from 'preact';
import { useLayoutEffect, useState } from 'preact/hooks';
import { renderedRows } from './rows';

/** The rows of a long list that are near the window, which scrolls. `list` is the element that has the height of all rows. */
export function useRenderedRows(list: RefObject<HTMLElement>, rowHeight: number, rows: number): { from: number; to: number } {
  const [range, setRange] = useState(() => renderedRows(0, innerHeight, rowHeight, rows));
  useLayoutEffect(() => {
    let frame = 0;
    const measure = () => {
      frame = 0;
      const top = list.current ? -list.current.getBoundingClientRect().top : 0;
      const next = renderedRows(top, innerHeight, rowHeight, rows);
      setRange((before) => (before.from === next.from && before.to === next.to ? before : next));
    };
    const later = () => (frame ||= requestAnimationFrame(measure));
    measure();
    addEventListener('scroll', later, { passive: true });
    addEventListener('resize', later);
    return () => {
      removeEventListener('scroll', later);
      removeEventListener('resize', later);
      cancelAnimationFrame(frame);
    };
  }, [rowHeight, rows]);
  return { from: Math.min(range.from, rows), to: Math.min(range.to, rows) };
}
