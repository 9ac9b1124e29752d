// What the scripts share: how an application outlives a hub that is away.
export const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

// fetch, again and again while the hub is away or stopping. What it answers otherwise is the client's.
export const patient = async (...request) => {
  for (;;) {
    try {
      const answer = await fetch(...request);
      if (answer.status !== 503) return answer;
      await answer.body?.cancel();
    } catch { /* it is away */ }
    await sleep(20);
  }
};
