// Asks for the photo until it is there or refused; without this, a reload shows it.
const place = document.getElementById("photo");
const SLOWEST = 10_000; // milliseconds between two looks
let pause = 1_000;

const isAwaited = (node) => node.querySelector("[aria-busy]") !== null;

async function look() {
  try {
    const answer = await fetch(place.dataset.source);
    if (answer.status === 404) return; // the visitor's session is over
    if (answer.ok) show(await answer.text());
  } catch {
    // The network is away; it may be back at the next look.
  }
  lookLater();
}

function show(html) {
  const news = document.createElement("template");
  news.innerHTML = html;
  // A screen reader announces changes here: only the end.
  if (!isAwaited(news.content)) place.replaceChildren(news.content);
}

function lookLater() {
  if (!isAwaited(place)) return;
  setTimeout(look, pause);
  pause = Math.min(pause * 1.1, SLOWEST);
}

lookLater();
