"use strict";
// Comfort beside pages that are whole without it: counts come after the events, a
// record is copied, and live events are added as they come.

const counts = document.querySelector("#counts[data-src]");
if (counts) {
  fetch(counts.dataset.src)
    .then((answer) => answer.text())
    .then((text) => { counts.innerHTML = text; })
    .catch(() => { counts.textContent = "The counts could not be fetched; load the page again."; });
}

// what is pasted often has spaces around it; a link may have some that are meant
for (const field of document.querySelectorAll("form.filter input[name]")) {
  field.addEventListener("change", () => { field.value = field.value.trim(); });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).dataset.text;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed by the browser";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

// what is shown stays readable, and the page small
const MOST = 500;
const live = document.getElementById("live");
if (live) {
  const [rows, state, gaps, mark, pause] = ["events", "state", "gaps", "watermark", "pause"]
    .map((id) => document.getElementById(id));
  // what came while it was paused, and ids that were shown: a restart may repeat some
  let waiting = [];
  let missed = 0;
  const shown = new Set();
  let paused = false;
  let lost = false;
  let losing;
  let ended = "";

  const add = (said) => {
    const part = document.createElement("template");
    part.innerHTML = said.rows;
    const fresh = [...part.content.children].filter((row, place) => {
      const id = said.ids[place];
      if (shown.has(id)) return false;
      shown.add(id);
      row.classList.add("new");
      return true;
    });
    rows.prepend(...fresh);
    while (rows.children.length > MOST) rows.lastElementChild.remove();
    if (shown.size > 20 * MOST) shown.clear();
  };
  const say = () => {
    const kept = paused ? `paused, ${missed} more events` : "";
    const loss = lost ? "connection lost; it is tried again" : "";
    const text = ended || [kept, loss].filter(Boolean).join("; ") || "live";
    // what is set again is read aloud again
    if (state.textContent !== text) state.textContent = text;
  };
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    if (!paused) {
      waiting.forEach(add);
      waiting = [];
      missed = 0;
    }
    say();
  });

  const source = new EventSource(live.dataset.src);
  source.onopen = () => {
    clearTimeout(losing);
    losing = undefined;
    lost = false;
    say();
  };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) {
      ended = "the server answers with an error; load the page again";
      say();
    }
    // each answer ends after a while, and the browser comes again at once
    losing ??= setTimeout(() => { lost = true; say(); }, 2000);
  };
  source.onmessage = (message) => {
    const said = JSON.parse(message.data);
    if (said.refused) {
      source.close();
      ended = `not answered: ${said.refused}`;
      say();
      return;
    }
    if (said.watermark) mark.textContent = said.watermark;
    if (said.gap) {
      const item = document.createElement("li");
      item.textContent = `Gap: ${said.gap}`;
      gaps.append(item);
      gaps.hidden = false;
    }
    if (said.rows) {
      if (paused) {
        missed += said.ids.length;
        waiting.push(said);
        // the newest are shown, of very many
        if (waiting.length > MOST) waiting.shift();
      } else {
        add(said);
      }
    }
    say();
  };
}
