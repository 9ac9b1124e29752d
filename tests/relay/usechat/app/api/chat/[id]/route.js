import { save } from "../../../store.js";

export async function PUT(request, { params }) {
  const { id } = await params;
  await save(id, await request.json());
  return new Response(null, { status: 204 });
}
