"use strict";
const base = location.pathname.replace(/\/+$/, "") + "/api/v1";
const at = (id) => document.getElementById(id);
const state = { open: null, message: null, source: null, view: "html", shown: "" };

const person = (p) => (p.Name ? `${p.Name} <${p.Address}>` : p.Address);
const people = (list) => list.map(person).join(", ");

function cell(kind, text) {
  const span = document.createElement("span");
  span.className = kind;
  span.textContent = text;
  return span;
}

function row(summary) {
  const item = document.createElement("li");
  const time = new Date(summary.Created);
  const today = time.toDateString() === new Date().toDateString();
  item.tabIndex = 0;
  item.className = summary.Read ? "" : "unread";
  item.setAttribute("aria-current", String(summary.ID === state.open));
  item.append(
    cell("who", people(summary.To.concat(summary.Cc, summary.Bcc)) || "?"),
    cell("when", today ? time.toLocaleTimeString() : time.toLocaleDateString()),
    cell("what", summary.Subject || "(no subject)"),
    cell("more", summary.Snippet),
  );
  item.addEventListener("click", () => open(summary.ID));
  item.addEventListener("keydown", (event) => { if (event.key === "Enter") open(summary.ID); });
  return item;
}

async function refresh() {
  const query = at("search").value.trim();
  const path = /[\p{L}\p{N}]/u.test(query)
    ? `/search?limit=500&query=${encodeURIComponent(query)}` : "/messages?limit=500";
  try {
    const page = await (await fetch(base + path)).json();
    const seen = JSON.stringify([page.messages.map((m) => [m.ID, m.Read]), state.open]);
    if (seen === state.shown) return;
    state.shown = seen;
    at("list").replaceChildren(...page.messages.map(row));
    at("count").textContent = page.total ? String(page.total) : "";
    at("empty").hidden = page.messages.length > 0;
    document.title = page.unread ? `(${page.unread}) Inbox` : "Inbox";
  } catch {
    at("count").textContent = "(offline)";
  }
}

async function open(id) {
  const answer = await fetch(`${base}/message/${id}`);
  if (!answer.ok) return;
  state.open = id;
  state.message = await answer.json();
  state.source = null;
  at("subject").textContent = state.message.Subject || "(no subject)";
  at("from").textContent = person(state.message.From);
  at("to").textContent = people(state.message.To.concat(state.message.Cc, state.message.Bcc));
  at("date").textContent = new Date(state.message.Date).toLocaleString();
  if (!state.message.HTML && state.view === "html") state.view = "text";
  at("message").hidden = false;
  await show(state.view);
  await refresh();
}

async function show(view) {
  state.view = view;
  const message = state.message;
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === view));
    if (button.dataset.view === "html") button.disabled = !message.HTML;
  }
  at("html").hidden = view !== "html";
  at("plain").hidden = view === "html";
  // Links open beside the page; the frame's sandbox and the page's policy keep everything else out.
  at("html").srcdoc = view === "html" ? `<base target="_blank">${message.HTML}` : "";
  if (view === "text") at("plain").textContent = message.Text;
  if (view === "source") {
    state.source ??= await (await fetch(`${base}/message/${message.ID}/raw`)).text();
    at("plain").textContent = state.source;
  }
}

for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => show(button.dataset.view));
}
at("search").addEventListener("input", refresh);
at("clear").addEventListener("click", async () => {
  await fetch(`${base}/messages`, { method: "DELETE" });
  state.open = null;
  at("message").hidden = true;
  await refresh();
});
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 2000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
