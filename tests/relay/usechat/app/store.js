// In memory, where an app has its database.
const chats = new Map();

export const save = async (id, messages) => void chats.set(id, structuredClone(messages));
export const load = async (id) => structuredClone(chats.get(id) ?? []);
