"use client";
import { Chat, useChat } from "@ai-sdk/react";
import { useState } from "react";

const create = (id, saved) => new Chat({
  id,
  messages: saved,
  onFinish({ message, messages }) {
    if (message.metadata?.status) fetch(`/api/chat/${id}`, { method: "PUT", body: JSON.stringify(messages) });
  },
});

export function ChatPage({ id, saved }) {
  const [chat] = useState(() => create(id, saved));
  const { messages, sendMessage, status } = useChat({ chat, resume: true });
  const stop = () => fetch(`/api/runs/${messages.at(-1).id}/stop`, { method: "POST" });
  return (
    <>
      {messages.map(({ id, role, parts, metadata }) => (
        <p key={id} className={role}>
          {parts.map((part, index) => part.type === "text" && <span key={index}>{part.text}</span>)}
          {metadata?.status === "stopped" && <em> (stopped)</em>}
        </p>
      ))}
      <form action={(form) => sendMessage({ text: form.get("text") })}>
        <input name="text" />
        <button>Send</button>
        <button type="button" onClick={stop} disabled={status !== "streaming"}>Stop</button>
        <output>{status}</output>
      </form>
    </>
  );
}
