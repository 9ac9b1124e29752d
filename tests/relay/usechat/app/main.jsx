// What a framework does: puts the page of the chat into the document.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ChatPage } from "./chat.jsx";
import { DirectChat } from "./direct_chat.jsx";

const { id, saved, hub } = JSON.parse(document.getElementById("data").textContent);
const page = hub ? <DirectChat id={id} hub={hub} /> : <ChatPage id={id} saved={saved} />;
createRoot(document.getElementById("root")).render(<StrictMode>{page}</StrictMode>);
