import './eink.css';
import { allowDesktop, desktop, eink, setEink, stopDesktop } from './settings';

export function EinkSwitch() {
  return (
    <label class="check">
      <input type="checkbox" role="switch" checked={eink.value} onChange={(event) => setEink(event.currentTarget.checked)} />
      E-ink
    </label>
  );
}

/** Notifications of the computer. The browser asks the person only after a click here. */
export function DesktopSwitch() {
  switch (desktop.value) {
    case 'unsupported':
      return null;
    case 'denied':
      return <span class="muted">This browser blocks notifications of this page; its settings for this site can allow them.</span>;
    case 'on':
      return (
        <button type="button" class="small" aria-pressed="true" onClick={stopDesktop}>
          Also outside this page
        </button>
      );
    default:
      return (
        <button type="button" class="small" aria-pressed="false" onClick={() => void allowDesktop()}>
          Also outside this page
        </button>
      );
  }
}
