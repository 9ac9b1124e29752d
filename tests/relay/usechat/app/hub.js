export const hub = (path, init) =>
  fetch(process.env.HUB + path, { ...init, headers: { authorization: `Bearer ${process.env.HUB_TOKEN}`, ...init?.headers } });
