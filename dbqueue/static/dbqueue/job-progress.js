// <job-progress src="…">: shows how far a job is, until it ends, and says so by events.
const SLOWEST = 30; // seconds between two looks of a page that nobody looks at
let streams = 0; // a browser has few connections to one site: a page holds one

class JobProgress extends HTMLElement {
  connectedCallback() {
    this.failures = 0;
    this.onSight = () => this.look();
    document.addEventListener("visibilitychange", this.onSight);
    this.addEventListener("submit", this);
    if (!["succeeded", "failed", "cancelled"].includes(this.dataset.status)) this.look();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.onSight);
    this.removeEventListener("submit", this);
    this.pause();
  }

  pause() {
    clearTimeout(this.timer);
    if (!this.source) return;
    this.source.close();
    this.source = null;
    streams -= 1;
  }

  look() {
    this.pause();
    if (this.isOver || !this.isConnected) return;
    const address = this.getAttribute("events");
    if (address && !this.deaf && !streams && !document.hidden) this.listen(address);
    else this.ask();
  }

  listen(address) {
    streams += 1;
    this.source = new EventSource(address);
    this.source.onmessage = (message) => this.show(JSON.parse(message.data));
    this.source.addEventListener("away", () => this.tell("text", this.dataset.away));
    this.source.onerror = () => {
      if (this.source?.readyState !== EventSource.CLOSED) return; // it tries again
      this.deaf = true; // the server has no events for us
      this.look();
    };
  }

  async ask() {
    const headers = { Accept: "application/json" };
    if (this.tag) headers["If-None-Match"] = this.tag;
    let seconds = 1;
    try {
      const answer = await fetch(this.getAttribute("src"), { headers });
      seconds = Number(answer.headers.get("Retry-After")) || seconds;
      if ([401, 403, 404, 410].includes(answer.status)) return this.finish(null);
      if (answer.ok) {
        this.tag = answer.headers.get("ETag");
        this.show(await answer.json());
      } else if (answer.status !== 304) throw new Error(answer.statusText);
      this.failures = 0;
    } catch {
      this.failures += 1;
      seconds = Math.max(seconds, Math.min(2 ** this.failures, SLOWEST));
      this.tell("text", this.dataset.away);
      this.tag = null; // what is told now has to be told again
    }
    if (this.isOver) return;
    if (document.hidden) seconds = Math.max(seconds, SLOWEST);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), seconds * 1000);
  }

  part(name) {
    return this.querySelector(`[data-part="${name}"]`);
  }

  tell(name, text) {
    const part = this.part(name);
    if (part && text !== undefined && part.textContent !== text) part.textContent = text;
  }

  show(job) {
    const { percent = null, message = "", left = "" } = job.progress ?? {};
    const bar = this.querySelector("progress");
    if (bar) {
      if (percent === null) bar.removeAttribute("value");
      else bar.value = percent;
      bar.hidden = job.finished && job.status !== "succeeded";
    }
    this.tell("percent", percent === null ? "" : `${percent} %`);
    this.tell("text", job.text);
    this.tell("message", job.finished ? "" : message);
    this.tell("left", left);
    this.part("files")?.replaceChildren(...(job.files ?? []).flatMap(link));
    const form = this.part("cancel");
    if (form) form.hidden = !job.cancel_url;
    this.dataset.status = job.status;
    this.say("update", job);
    if (job.finished) this.finish(job);
  }

  async finish(job) {
    this.isOver = true;
    this.pause();
    this.querySelector("noscript")?.remove();
    if (!job) return;
    this.say(job.status, job);
    if (this.hasAttribute("replace")) await this.replace();
    const target = this.getAttribute("redirect");
    const address = target === "result" ? job.result_url : target;
    if (job.status === "succeeded" && address) location.assign(address);
    else if (this.hasAttribute("reload")) location.reload();
  }

  // Put what the server shows by now in place of the element.
  async replace() {
    try {
      const answer = await fetch(this.getAttribute("replace"));
      if (!answer.ok) throw new Error(answer.statusText);
      const news = document.createElement("template");
      news.innerHTML = await answer.text();
      const parent = this.parentElement;
      this.replaceWith(news.content);
      parent?.dispatchEvent(new CustomEvent("job:replaced", { bubbles: true }));
    } catch {
      this.timer = setTimeout(() => this.replace(), 2000);
    }
  }

  say(name, detail) {
    this.dispatchEvent(new CustomEvent(`job:${name}`, { bubbles: true, detail }));
  }

  async handleEvent(event) {
    if (event.target !== this.part("cancel")) return;
    event.preventDefault();
    const form = event.target;
    form.querySelector("button").disabled = true;
    const body = new FormData(form);
    try {
      await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    } finally {
      form.querySelector("button").disabled = false;
      this.look();
    }
  }
}

function link(file) {
  const anchor = document.createElement("a");
  Object.assign(anchor, { href: file.url, download: "", textContent: file.name });
  return [anchor, " "];
}

if (!customElements.get("job-progress")) customElements.define("job-progress", JobProgress);
