import { DefaultChatTransport } from "ai";

export const direct = (hub, token, saved) => new DefaultChatTransport({
  headers: { accept: "text/event-stream", authorization: `Bearer ${token}` },
  prepareSendMessagesRequest: ({ id, messages }) => ({
    api: `${hub}/runs?format=ai-sdk`,
    body: {
      provider: "openai",
      topic: `chats/${id}`,
      request: {
        model: "gpt-4o-mini",
        messages: messages.map(({ role, parts }) => ({
          role,
          content: parts.map((part) => (part.type === "text" ? part.text : "")).join(""),
        })),
      },
    },
  }),
  prepareReconnectToStreamRequest({ id }) {
    const query = new URLSearchParams({ topic: `chats/${id}`, seen: saved.at(-1)?.id ?? "", format: "ai-sdk" });
    return { api: `${hub}/runs/active?${query}` };
  },
});
