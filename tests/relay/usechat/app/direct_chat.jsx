// The same chat without a server of its own: the page keeps the messages, and asks the hub.
import { Chat, useChat } from "@ai-sdk/react";
import { useEffect, useState } from "react";
import { direct } from "./direct.js";

const create = (id, hub) => {
  const saved = JSON.parse(localStorage.getItem(id) ?? "[]");
  return new Chat({ id, messages: saved, transport: direct(hub, "unused", saved) });
};

export function DirectChat({ id, hub }) {
  const [chat] = useState(() => create(id, hub));
  const { messages, sendMessage } = useChat({ chat, resume: true });
  useEffect(() => {
    const whole = messages.filter(({ role, metadata }) => role === "user" || metadata?.status);
    localStorage.setItem(id, JSON.stringify(whole));
  }, [messages]);
  return (
    <>
      {messages.map(({ id, role, parts }) => (
        <p key={id} className={role}>{parts.map((part) => part.text).join("")}</p>
      ))}
      <form action={(form) => sendMessage({ text: form.get("text") })}>
        <input name="text" />
        <button>Send</button>
      </form>
    </>
  );
}
