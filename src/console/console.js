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
  let unshown = 0;
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
      if (unshown > 0) note(`${unshown} events that came while it was paused are not shown: Event history has them`);
      waiting.forEach(add);
      waiting = [];
      missed = 0;
      unshown = 0;
    }
    say();
  });

  // where it goes on, and how long until it is tried again where nobody answers
  let token = "";
  let wait = 1000;
  let source;
  const note = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    gaps.append(item);
    gaps.hidden = false;
  };
  const again = () => {
    lost = true;
    say();
    setTimeout(open, wait);
    wait = Math.min(2 * wait, 30000);
  };
  const open = () => {
    const sign = live.dataset.src.includes("?") ? "&" : "?";
    const from = token ? `${sign}token=${encodeURIComponent(token)}` : "";
    source = new EventSource(live.dataset.src + from);
    source.onopen = () => {
      clearTimeout(losing);
      losing = undefined;
      lost = false;
      say();
    };
    source.onerror = () => {
      // a proxy answers for a server that is away, and the browser gives up
      if (source.readyState === EventSource.CLOSED) again();
      // each answer ends after a while, and the browser comes again at once
      else losing ??= setTimeout(() => { lost = true; say(); }, 2000);
    };
    source.onmessage = told;
  };
  const told = (message) => {
    wait = 1000;
    token = message.lastEventId || token;
    const said = JSON.parse(message.data);
    if (said.refused) {
      source.close();
      if (token) {
        // it may be of before a restart with other settings
        note(`Gap: what came since could not be told: ${said.refused}`);
        token = "";
        again();
        return;
      }
      ended = `not answered: ${said.refused}`;
      say();
      return;
    }
    if (said.watermark) mark.textContent = said.watermark;
    if (said.gap) {
      note(`Gap: ${said.gap}`);
    }
    if (said.rows) {
      if (paused) {
        missed += said.ids.length;
        waiting.push(said);
        // the newest are shown, of very many
        if (waiting.length > MOST) {
          const gone = waiting.shift().ids.length;
          missed -= gone;
          unshown += gone;
        }
      } else {
        add(said);
      }
    }
    say();
  };
  open();
}
