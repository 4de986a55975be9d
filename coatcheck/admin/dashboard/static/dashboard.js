// What makes pages live. Without it everything can be read all the same, and every form works.
"use strict";

(() => {
  const state = document.getElementById("livestate");
  const pause = document.getElementById("pause");
  const address = document.body.dataset.live;
  const words = { live: "live", paused: "paused", lost: "connection lost, trying again", ended: "signed out: load the page again" };
  let source = null;
  let paused = false;

  function tell(name) {
    if (state && state.dataset.state !== name) {
      state.dataset.state = name;
      state.querySelector("[data-text]").textContent = words[name];
    }
  }

  // Regions come ready made, by their id. Where somebody is at work in one, it waits for the next time.
  function show(regions) {
    for (const [id, html] of Object.entries(regions)) {
      const region = document.getElementById(id);
      if (!region || region.contains(document.activeElement) || region.dataset.shown === html) continue;
      region.innerHTML = html;
      region.dataset.shown = html;
      window.htmx?.process(region);
    }
  }

  // New rows go in front, and as many fall out behind.
  function prepend({ id, html, most }) {
    const body = document.getElementById(id);
    if (!body || !html) return;
    const holder = document.createElement("tbody");
    holder.innerHTML = html;
    const rows = [...holder.rows];
    rows.forEach((row) => row.classList.add("new"));
    body.prepend(...rows);
    while (body.rows.length > most) body.rows[body.rows.length - 1].remove();
    document.querySelector(`[data-empty="${id}"]`)?.setAttribute("hidden", "");
  }

  function open() {
    if (source || paused || !address) return;
    const from = document.querySelector("[data-from]")?.dataset.from;
    source = new EventSource(from ? `${address}${address.includes("?") ? "&" : "?"}from=${from}` : address);
    source.onopen = () => tell("live");
    source.onerror = () => tell("lost");
    source.addEventListener("regions", (event) => show(JSON.parse(event.data)));
    source.addEventListener("rows", (event) => {
      const rows = JSON.parse(event.data);
      prepend(rows);
      const mark = document.querySelector("[data-from]");
      if (mark) mark.dataset.from = rows.from;
    });
    source.addEventListener("changed", () => document.body.dispatchEvent(new Event("changed")));
    source.addEventListener("ended", () => { close(); paused = true; tell("ended"); });
  }

  function close() {
    source?.close();
    source = null;
  }

  if (address && pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Go on" : "Pause";
      pause.setAttribute("aria-pressed", String(paused));
      if (paused) { close(); tell("paused"); } else open();
    });
    // A page that nobody looks at costs nothing.
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", open);
    open();
  }

  // Spans of time go on while the page is there.
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  function span(seconds) {
    const first = units.findIndex(([size]) => seconds >= size);
    if (first < 0) return "0 s";
    const coarse = seconds >= 86400 ? 3600 : seconds >= 300 ? 60 : 1;
    let rest = Math.floor(seconds / coarse) * coarse;
    return units.slice(first, first + 2).map(([size, name]) => {
      const count = Math.floor(rest / size);
      rest -= count * size;
      return count ? `${count} ${name}` : "";
    }).filter(Boolean).join(" ");
  }
  const skew = Date.now() - Date.parse(document.body.dataset.now);
  function tick() {
    const now = Date.now() - (Number.isFinite(skew) ? skew : 0);
    for (const time of document.querySelectorAll("time[data-rel]")) {
      const distance = (now - Date.parse(time.dateTime)) / 1000;
      time.textContent = Math.abs(distance) < 1 ? "now" : distance > 0 ? `${span(distance)} ago` : `in ${span(-distance)}`;
    }
  }
  setInterval(() => { if (!document.hidden) tick(); }, 5000);

  // Pointing at a chart says what was there at that moment.
  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.("svg.plot");
    document.querySelectorAll(".reading").forEach((old) => old.remove());
    if (!plot?.dataset.readings) return;
    const box = plot.getBoundingClientRect();
    const readings = JSON.parse(plot.dataset.readings);
    const place = Math.round(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (readings.length - 1));
    if (!readings[place]) return;
    const label = document.createElement("p");
    label.className = "reading";
    label.textContent = readings[place];
    plot.parentElement.append(label);
    const left = event.clientX - box.left;
    label.style.left = `${Math.min(left, box.width - label.offsetWidth)}px`;
    label.style.top = "-1.4rem";
  });

  // Sign-out and revocation from a page that is kept by the back button would show what is no longer there.
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
