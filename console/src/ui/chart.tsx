// Lines over time, by uPlot: as wide as its place, in the colours of the theme, and in words.
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clock } from '../format';
import { theme } from '../theme';
import { type Line, ago, alone, extent, inWords, scaleSteps } from './chart-text';
import './chart.css';

export interface ChartProps {
  /** What the lines are of. */
  label: string;
  /** Seconds since the epoch, ascending. */
  time: number[];
  /** Each as long as `time`. Their number does not change. */
  lines: Line[];
  /** Seconds that are shown, up to the newest. */
  span: number;
  format(value: number): string;
  /** Round numbers of the axis: those of counts, or of bytes. */
  base?: 10 | 1024;
}

/** Charts with the pointer over one of them show the same moment. */
const SYNC = 'gapless';

/** The colour of a token in the present theme: a canvas knows no variables. */
function resolved(host: HTMLElement, token: string): string {
  host.style.color = `var(${token})`;
  const colour = getComputedStyle(host).color;
  host.style.color = '';
  return colour;
}

const tinted = (colour: string) => colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.1)');

export function Chart({ label, time, lines, span, format, base = 10 }: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const repaint = useRef(() => {});
  const [at, setAt] = useState<number | null>(null);
  // What the plot's functions read, which are given to it once.
  const present = useRef({ span, format, base });
  present.current = { span, format, base };
  const known = lines.some(({ values }) => values.some((value) => value !== null));

  useEffect(() => {
    const place = host.current!;
    let colours = palette(place, lines);
    const made = new uPlot(options(place, lines, () => colours, () => present.current, setAt), data(time, lines), place);
    plot.current = made;
    const sizes = new ResizeObserver(() => made.setSize(size(place)));
    sizes.observe(place);
    const dark = matchMedia('(prefers-color-scheme: dark)');
    repaint.current = () => {
      colours = palette(place, lines);
      made.redraw(false);
    };
    const onScheme = () => repaint.current();
    dark.addEventListener('change', onScheme);
    return () => {
      repaint.current = () => {};
      dark.removeEventListener('change', onScheme);
      sizes.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, []);

  useEffect(() => repaint.current(), [theme.value]);
  useEffect(() => plot.current?.setData(data(time, lines)), [time, ...lines.map(({ values }) => values)]);

  const moment = at === null ? undefined : time[at];
  return (
    <div class="chart">
      <div class="chart-plot" role="img" aria-label={inWords(label, lines, format)}>
        <div ref={host} />
        {!known && <span class="chart-none">No figures yet</span>}
      </div>
      <div class="chart-text" aria-hidden="true">
        {moment === undefined ? (
          <Extents lines={lines} format={format} />
        ) : (
          <>
            <span>{clock(new Date(moment * 1000)).slice(0, 8)}</span>
            {lines.map(({ name, values }) => (
              <span key={name}>
                {name} {values[at!] == null ? 'not known' : format(values[at!]!)}
              </span>
            ))}
          </>
        )}
      </div>
    </div>
  );
}

function Extents({ lines, format }: Pick<ChartProps, 'lines' | 'format'>) {
  return (
    <>
      {lines.map(({ name, values }) => {
        const known = extent(values);
        return known && <span key={name}>{`${name} ${format(known.lowest)} – ${format(known.highest)}`}</span>;
      })}
    </>
  );
}

interface Palette {
  lines: string[];
  axis: string;
  grid: string;
}

const palette = (place: HTMLElement, lines: Line[]): Palette => ({
  lines: lines.map(({ colour }) => resolved(place, colour)),
  axis: resolved(place, '--muted'),
  grid: resolved(place, '--line'),
});

const data = (time: number[], lines: Line[]): uPlot.AlignedData => [time, ...lines.map(({ values }) => values)];

const size = (place: HTMLElement) => ({ width: Math.max(80, place.clientWidth), height: Math.max(60, place.clientHeight) });

type Present = Required<Pick<ChartProps, 'span' | 'format' | 'base'>>;

function options(place: HTMLElement, lines: Line[], colours: () => Palette, present: () => Present, point: (at: number | null) => void): uPlot.Options {
  const font = `11px ${getComputedStyle(place).fontFamily}`;
  const newest = (self: uPlot) => self.data[0].at(-1) ?? Date.now() / 1000;
  const top = (self: uPlot) => {
    let highest = 0;
    for (const values of self.data.slice(1)) for (const value of values) if (value != null && value > highest) highest = value;
    return scaleSteps(highest, present().base);
  };
  return {
    ...size(place),
    padding: [8, 14, 0, 0],
    legend: { show: false },
    cursor: { y: false, sync: { key: SYNC, setSeries: false }, points: { size: 7 }, drag: { x: false, y: false } },
    scales: {
      x: { time: false, range: (self) => [newest(self) - present().span, newest(self)] },
      y: { range: (self) => [0, top(self).at(-1)!] },
    },
    axes: [
      {
        font,
        size: 22,
        gap: 4,
        stroke: () => colours().axis,
        grid: { show: false },
        ticks: { show: false },
        splits: (self) => [0, 1 / 3, 2 / 3].map((share) => newest(self) - present().span * (1 - share)).concat(newest(self)).slice(1),
        values: (self, splits) => splits.map((split) => ago(newest(self) - split)),
      },
      {
        font,
        size: 62,
        gap: 6,
        stroke: () => colours().axis,
        grid: { stroke: () => colours().grid, width: 1 },
        ticks: { show: false },
        splits: (self) => top(self),
        values: (_, splits) => splits.map((split) => present().format(split)),
      },
    ],
    series: [
      {},
      ...lines.map(({ name }, index) => ({
        label: name,
        width: 1.75,
        stroke: () => colours().lines[index]!,
        ...(index === 0 ? { fill: () => tinted(colours().lines[0]!) } : {}),
        // A line needs two.
        points: { show: true, size: 4, stroke: () => colours().lines[index]!, fill: () => colours().lines[index]!, filter: (self: uPlot, column: number) => alone(self.data[column]!) },
        spanGaps: false,
      })),
    ],
    hooks: { setCursor: [(self) => point(self.cursor.idx ?? null)] },
  };
}
