import { hub } from "../../../../hub.js";
import { load } from "../../../../store.js";

export async function GET(request, { params }) {
  const { id } = await params;
  const seen = (await load(id)).at(-1)?.id ?? "";
  return hub("/runs/active?" + new URLSearchParams({ topic: `chats/${id}`, seen, format: "ai-sdk" }));
}
