import { hub } from "../../hub.js";
import { save } from "../../store.js";

export async function POST(request) {
  const { id, messages } = await request.json();
  const response = await hub("/runs?format=ai-sdk", {
    method: "POST",
    headers: { accept: "text/event-stream" },
    body: JSON.stringify({
      provider: "openai",
      topic: `chats/${id}`,
      request: {
        model: "gpt-4o-mini",
        messages: messages.map(({ role, parts }) => ({
          role,
          content: parts.map((part) => (part.type === "text" ? part.text : "")).join(""),
        })),
      },
    }),
  });
  if (response.ok) await save(id, messages);
  return response;
}
