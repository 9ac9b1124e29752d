// A computer whose clock is wrong.
import { expect, test } from 'vitest';
import { Chromium } from './support/browser';
import { Hub } from './support/hub';

test.each([2, -2])('a computer whose clock is wrong by %i h shows how long something took by the clock of the hub', async (hours) => {
  await using hub = await Hub.start();
  await using chromium = await Chromium.launch();
  await using tab = await chromium.open(hub.address);
  await tab.page.clock.install({ time: Date.now() + hours * 3600_000 });
  await using watching = await chromium.open(hub.address + '#/live?topic=orders&from=now&view=text');
  await watching.page.getByRole('button', { name: 'Cut the connection' }).waitFor();
  await tab.page.goto(hub.address + '#/streams');
  await tab.page.reload();
  await expect.poll(() => tab.page.getByRole('row').last().locator('time').textContent()).toMatch(/^\d+ s$/);
  await tab.go('#/live?topic=orders&from=now&view=text');
  await tab.page.getByRole('button', { name: 'Cut the connection' }).waitFor();
  await expect
    .poll(async () => {
      await hub.publish('orders', 'now');
      return await tab.page.locator('.live-figures').innerText();
    })
    .toContain('under 2 s');
});
