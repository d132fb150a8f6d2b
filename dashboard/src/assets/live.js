// Replaces the parts of a page that have changed, when the server says that something has. Without this
// script the page is loaded again every half minute.
"use strict";
(() => {
  const address = document.body.dataset.live;
  if (!address || !window.EventSource) return;
  const SHORTEST = 1000; // Milliseconds between two refreshes.
  const state = document.getElementById("live-state");
  const announcer = document.getElementById("announcer");
  let busy = false;
  let wanted = false;
  let last = 0;

  const say = (text, kind) => {
    if (state.textContent !== text) state.textContent = text;
    state.className = "live " + kind;
  };

  const announcement = () => {
    const found = document.querySelector("[data-announce]");
    return found ? found.textContent.trim() : "";
  };

  // What the reader has changed in a part: which details are open, and where it is scrolled to.
  const keep = (part) => ({
    open: [...part.querySelectorAll("details[id]")].map((one) => [one.id, one.open]),
    scrolled: [...part.querySelectorAll(".scroll[id]")].map((one) => [one.id, one.scrollLeft, one.scrollTop]),
    focus: part.contains(document.activeElement) ? document.activeElement.id : "",
  });

  const restore = (kept) => {
    for (const [id, open] of kept.open) {
      const found = document.getElementById(id);
      if (found) found.open = open;
    }
    for (const [id, left, top] of kept.scrolled) {
      const found = document.getElementById(id);
      if (found) found.scrollTo(left, top);
    }
    const focus = kept.focus && document.getElementById(kept.focus);
    if (focus) focus.focus({ preventScroll: true });
  };

  const replace = (fresh) => {
    const before = announcement();
    const now = document.getElementById("main");
    const next = fresh.getElementById("main");
    if (!next) return;
    const ids = (main) => [...main.children].map((part) => part.id).join(" ");
    if (ids(now) !== ids(next)) {
      const kept = keep(now);
      now.replaceChildren(...next.children);
      restore(kept);
    } else {
      for (const part of [...next.children]) {
        const old = document.getElementById(part.id);
        if (old.outerHTML === part.outerHTML || old.querySelector("form")) continue;
        // Details that the reader has opened differ in nothing else.
        const kept = keep(old);
        old.replaceWith(part);
        restore(kept);
      }
    }
    const after = announcement();
    if (after && after !== before) announcer.textContent = after;
  };

  const refresh = async () => {
    wanted = true;
    if (busy) return;
    busy = true;
    while (wanted) {
      const wait = last + SHORTEST - Date.now();
      if (wait > 0) await new Promise((done) => setTimeout(done, wait));
      if (document.hidden) break;
      wanted = false;
      last = Date.now();
      try {
        const answer = await fetch(location.href, { headers: { "x-eosfed-live": "1" }, redirect: "error" });
        if (!answer.ok) throw new Error(String(answer.status));
        replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } catch {
        say("No answer; reload the page", "lost");
      }
    }
    busy = false;
  };

  const source = new EventSource(address);
  source.addEventListener("open", () => say("Live", "on"));
  source.addEventListener("changed", refresh);
  source.addEventListener("error", () => {
    const closed = source.readyState === EventSource.CLOSED;
    say(closed ? "Too many live pages: reloads every 30 s" : "Connecting again", "lost");
    // The server has refused the stream: it has too many.
    if (closed) setInterval(refresh, 30000);
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && wanted) refresh();
  });
})();
