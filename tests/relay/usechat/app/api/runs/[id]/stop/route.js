import { hub } from "../../../../hub.js";

export async function POST(request, { params }) {
  const { id } = await params;
  return hub(`/runs/${encodeURIComponent(id)}/stop`, { method: "POST" });
}
