// The live parts of the task queue's pages. All of them work without it.
(() => {
  "use strict";
  const KEY = "dbqueue.paused";
  const store = {
    get paused() { try { return localStorage.getItem(KEY) === "1"; } catch { return false; } },
    set paused(value) { try { localStorage.setItem(KEY, value ? "1" : "0"); } catch { /* private */ } },
  };
  let paused = store.paused;

  // A region that somebody reads, fills in or selects is left as it is.
  const isBusy = (region) => {
    const selection = document.getSelection();
    return region.contains(document.activeElement) && document.activeElement !== document.body
      || (selection && !selection.isCollapsed && region.contains(selection.anchorNode));
  };

  const opened = (region) => [...region.querySelectorAll("details")].map((d) => d.open);

  const replace = (region, fresh) => {
    if (region.innerHTML === fresh.innerHTML) return;
    const open = opened(region);
    const seen = region.querySelectorAll("details").length;
    region.innerHTML = fresh.innerHTML;
    const details = region.querySelectorAll("details");
    if (details.length === seen) details.forEach((d, i) => { d.open = open[i]; });
    setUp(region);
  };

  const watch = (region) => {
    const every = Number(region.dataset.dbqLive) * 1000;
    let waits = every;
    const look = async () => {
      if (!paused && !document.hidden && !isBusy(region)) {
        try {
          const url = new URL(location.href), began = performance.now();
          const answer = await fetch(url, { headers: { "X-Dbqueue-Live": region.id }, credentials: "same-origin" });
          if (answer.redirected) { location.assign(answer.url); return; }
          if (answer.ok) {
            const page = new DOMParser().parseFromString(await answer.text(), "text/html");
            const fresh = page.getElementById(region.id);
            if (fresh) replace(region, fresh);
            if (fresh && !("dbqLive" in fresh.dataset)) return;
            // Where an answer takes long, it costs the server much.
            waits = Math.min(30000, Math.max(every, (performance.now() - began) * 40));
          } else {
            waits = Math.min(waits * 2, 60000);
          }
        } catch {
          waits = Math.min(waits * 2, 60000);
        }
      }
      setTimeout(look, waits);
    };
    setTimeout(look, waits);
  };

  const show = (button) => {
    button.hidden = false;
    button.setAttribute("aria-pressed", String(paused));
    const label = button.querySelector("[data-on]");
    label.textContent = paused ? label.dataset.off : label.dataset.on;
  };

  const copy = async (button) => {
    const text = button.parentElement.querySelector("[data-dbq-text]");
    const lines = [...text.querySelectorAll("pre")].map((pre) => pre.textContent).join("\n");
    try {
      await navigator.clipboard.writeText(lines);
    } catch {
      const area = document.createElement("textarea");
      area.value = lines;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.classList.add("dbq-done");
    setTimeout(() => button.classList.remove("dbq-done"), 1500);
  };

  const setUp = (root) => {
    root.querySelectorAll("[data-dbq-copy]").forEach((button) => { button.hidden = false; });
  };

  document.addEventListener("click", (event) => {
    const copying = event.target.closest("[data-dbq-copy]");
    if (copying) copy(copying);
    const pausing = event.target.closest("[data-dbq-pause]");
    if (pausing) { paused = !paused; store.paused = paused; show(pausing); }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-dbq-submit]")) event.target.form.requestSubmit();
    if (event.target.matches("[data-dbq-all]")) {
      document.querySelectorAll("input[name=_selected_action]").forEach((box) => { box.checked = event.target.checked; });
    }
  });
  setUp(document);
  document.querySelectorAll("[data-dbq-pause]").forEach(show);
  document.querySelectorAll("[data-dbq-live]").forEach(watch);
})();
