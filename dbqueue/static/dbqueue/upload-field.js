// <upload-field>: sends a file while the form is still being filled in, and writes into the
// form which one it was. Without this script, it is an ordinary file input.
const RESUMABLE = 8e6; // bytes; so large a file goes in pieces, where the server can do it
const PIECE = 4 * 2 ** 20; // bytes of a request: so much is sent again after a break
const TRIES = 6; // in a row, until a file that is sent as a whole is given up
const SLOWEST = 30; // seconds between two tries
const PREVIEW = 96; // pixels
const PREVIEWED = 3e7; // bytes; a larger picture is not worth its decoding
const TUS = { "Tus-Resumable": "1.0.0" };
const reloaded = ["reload", "back_forward"].includes(performance.getEntriesByType("navigation")[0]?.type);

class Broken extends Error {} // to be tried again
class Refused extends Error {} // for good; its message is for people
class Stopped extends Error {} // by the person

// One file on its way: it tells the field how far it is, and what it waits for.
class Delivery {
  constructor(field, file) {
    Object.assign(this, { field, file, isStopped: false });
  }

  // Return what the form has to say of the file, once all of it has arrived.
  async run(unfinished) {
    if (unfinished) {
      this.given = unfinished;
      try {
        await this.goOn();
        return this.value();
      } catch (error) {
        if (!(error instanceof Refused)) throw error; // it has expired: begin again
      }
    }
    this.given = await this.persist(() => this.issue());
    const { uploadUrl, tusUrl, completeUrl } = this.given;
    if (uploadUrl.parts) this.field.remember({ ...described(this.file), ...this.value(), completeUrl });
    if (tusUrl && this.file.size >= Number(this.field.dataset.resumableFrom ?? RESUMABLE)) {
      this.field.remember({ ...described(this.file), ...this.value(), tusUrl });
      await this.resume(tusUrl);
    } else {
      const sending = uploadUrl.parts ? this.sendParts(uploadUrl.parts) : this.persist(() => this.send(uploadUrl));
      await (completeUrl ? sending.catch(toTheForm) : sending);
      if (completeUrl) await this.persist(() => this.complete(completeUrl));
    }
    return this.value();
  }

  // Take up what was begun before the page was loaded again.
  async goOn() {
    const { tusUrl, completeUrl } = this.given;
    if (tusUrl) return this.resume(tusUrl);
    await this.sendParts(await this.missing());
    await this.persist(() => this.complete(completeUrl));
  }

  value() {
    const { key, cancelUrl, previewUrl } = this.given;
    return { key, name: this.file.name, size: this.file.size, cancelUrl, previewUrl };
  }

  // What has arrived is deleted, unless another delivery goes on with it.
  stop(keeping) {
    this.isStopped = true;
    this.request?.abort();
    this.wake?.();
    if (this.given && !keeping) cancel(this.given.cancelUrl, this.field.csrf());
  }

  async issue() {
    const { fieldId, instanceId, issueUrl } = this.field.dataset;
    const { name: filename, type: contentType, size } = this.file;
    const body = new FormData();
    for (const [name, value] of Object.entries({ fieldId, instanceId, filename, contentType, size })) {
      if (value) body.append(name, value);
    }
    const headers = { Accept: "application/json", ...this.field.csrf() };
    return JSON.parse((await this.ask("POST", issueUrl, { headers, body })).responseText);
  }

  async send({ url, method = "POST", headers, fields, fileFieldName }) {
    let body = this.file;
    if (method === "POST") {
      body = new FormData();
      for (const [name, value] of Object.entries(fields ?? {})) body.append(name, value);
      body.append(fileFieldName ?? "file", this.file, this.file.name);
    }
    try {
      await this.ask(method, url, { headers, body, from: 0 });
    } catch (error) {
      const mayHaveCome = [409, this.given.completeUrl && 403].includes(error.status);
      if (!mayHaveCome || !(await this.hasArrived())) throw error;
    }
  }

  // Tell whether all was there before, as when only the answer was lost.
  async hasArrived() {
    const { completeUrl, statusUrl } = this.given;
    if (completeUrl) return this.complete(completeUrl).then(() => true, () => false);
    const answer = await this.ask("GET", statusUrl, { headers: { Accept: "application/json" } });
    return JSON.parse(answer.responseText).state !== "RECEIVING";
  }

  async sendParts({ size, urls }) {
    let sent = 0;
    for (const [at, url] of urls.entries()) {
      if (!url) continue; // it is there
      const from = at * size;
      try {
        await this.persist(() => this.ask("PUT", url, { body: this.file.slice(from, from + size), from }));
      } catch (error) {
        if (error.status !== 403 || !sent) throw error;
        return this.sendParts(await this.missing()); // these addresses are too old by now
      }
      sent += 1;
    }
  }

  async missing() {
    const headers = { Accept: "application/json" };
    const answer = await this.persist(() => this.ask("GET", this.given.completeUrl, { headers }));
    return JSON.parse(answer.responseText);
  }

  async complete(url) {
    await this.ask("POST", url, { headers: { Accept: "application/json", ...this.field.csrf() } });
  }

  async resume(url) {
    let offset = null;
    for (let failures = 0; offset !== this.file.size; ) {
      try {
        const answer = await (offset === null
          ? this.ask("HEAD", url, { headers: TUS })
          : this.sendPiece(url, offset));
        offset = Number(answer.getResponseHeader("Upload-Offset"));
        this.field.progress(offset / this.file.size);
        failures = 0;
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        offset = null; // only the server knows how far it came
        failures += 1;
        await this.rest(failures, error);
      }
    }
  }

  sendPiece(url, offset) {
    const headers = { ...TUS, "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" };
    return this.ask("PATCH", url, { headers, body: this.file.slice(offset, offset + PIECE), from: offset });
  }

  async persist(action) {
    for (let failures = 1; ; failures += 1) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof Broken) || (failures >= TRIES && navigator.onLine)) throw error;
        await this.rest(failures, error);
      }
    }
  }

  // Wait until it is worth another try: for a while, or until the network is back.
  async rest(failures, { after }) {
    this.field.tell("waiting");
    const seconds = after || Math.min(2 ** (failures - 1), SLOWEST);
    await new Promise((wake) => {
      this.wake = wake;
      setTimeout(wake, seconds * 1000);
      addEventListener("online", wake, { once: true });
    });
    if (this.isStopped) throw new Stopped();
    this.field.tell("uploading");
  }

  ask(method, url, { headers = {}, body, from }) {
    return new Promise((resolve, reject) => {
      if (this.isStopped) return reject(new Stopped());
      const request = new XMLHttpRequest();
      this.request = request;
      request.open(method, url);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      if (from !== undefined) {
        request.upload.onprogress = ({ loaded }) => this.isStopped || this.field.progress((from + loaded) / this.file.size);
      }
      request.onerror = () => reject(new Broken());
      request.onabort = () => reject(new Stopped());
      request.onload = () => (request.status >= 200 && request.status < 300 ? resolve(request) : reject(refusal(request)));
      request.send(body);
    });
  }
}

class UploadField extends HTMLElement {
  connectedCallback() {
    this.input = this.querySelector("input[type=file]");
    this.kept = this.querySelector("input[type=hidden]");
    // The row that a formset copies is not one itself; and a row may be moved.
    if (this.form || !this.input || this.input.name.includes("__prefix__")) return;
    this.form = this.input.form ?? document;
    for (const kind of ["change", "click", "dragover", "dragleave", "drop"]) this.addEventListener(kind, this);
    this.form.addEventListener("submit", this, true);
    this.form.addEventListener("reset", this);
    this.restore();
    this.draw();
  }

  disconnectedCallback() {
    setTimeout(() => {
      if (this.isConnected || !this.form) return;
      this.stop();
      this.form.removeEventListener("submit", this, true);
      this.form.removeEventListener("reset", this);
      this.form = null;
    });
  }

  handleEvent(event) {
    const { type, target } = event;
    const part = target.dataset?.part;
    if (type === "change" && target === this.input) this.choose(this.input.files);
    else if (type === "click" && part === "cancel") this.empty("cancelled");
    else if (type === "click" && part === "remove") this.empty("removed");
    else if (type === "submit") this.hold(event);
    else if (type === "reset") this.empty();
    else if (type.startsWith("drag") || type === "drop") this.drag(event);
  }

  part(name) {
    return this.querySelector(`[data-part="${name}"]`);
  }

  csrf() {
    const token = this.form.querySelector("[name=csrfmiddlewaretoken]")?.value;
    return token ? { "X-CSRFToken": token } : {};
  }

  // What is pending, as the form will have it.
  get pending() {
    return this.kept.value ? JSON.parse(this.kept.value) : null;
  }

  get isFree() {
    return this.form && !this.delivery && !this.kept.value;
  }

  drag(event) {
    if (this.input.disabled || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    this.toggleAttribute("data-over", event.type === "dragover");
    if (event.type === "drop") this.choose(event.dataTransfer.files);
  }

  // Take one file; others go to the next fields of the same kind that have none.
  choose([file, ...others]) {
    if (!file) return;
    const same = [...this.form.querySelectorAll("upload-field")];
    const free = same.filter((one) => one !== this && one.isFree && one.dataset.fieldId === this.dataset.fieldId);
    others.slice(0, free.length).forEach((other, at) => free[at].start(other));
    this.start(file);
    if (others.length > free.length) this.warn(this.dataset.textSeveral);
  }

  async start(file) {
    const unfinished = this.unfinished(file);
    this.discard(unfinished?.key);
    const clear = this.part("clear");
    if (clear) clear.checked = false;
    if (file.size > Number(this.dataset.maxSize || Infinity)) return this.fail(new Refused(this.dataset.textLarge));
    const delivery = new Delivery(this, file);
    this.delivery = delivery;
    this.kept.value = this.input.value = ""; // a form that is sent does not bring it along
    this.warn("");
    this.draw();
    this.progress(0);
    this.tell("uploading");
    this.preview(file);
    this.say("start", { file });
    try {
      const value = await delivery.run(unfinished);
      if (this.delivery === delivery) this.finish(value);
    } catch (error) {
      if (this.delivery === delivery && !(error instanceof Stopped)) this.fail(error, file);
    }
  }

  finish(value) {
    this.delivery = null;
    this.kept.value = JSON.stringify(value);
    this.remember(value);
    this.draw();
    this.tell("done");
    this.say("done", value);
    if (this.submitter !== undefined) this.submit();
  }

  fail(error, file) {
    this.delivery?.stop();
    this.delivery = null;
    this.submitter = undefined;
    this.kept.value = "";
    this.forget();
    if (file && !(error instanceof Refused)) this.giveBack(file);
    else this.input.value = "";
    this.draw();
    this.tell();
    this.warn(error.message || (error instanceof Refused ? this.dataset.textRefused : this.dataset.textBroken));
    this.say("failed", { error });
  }

  // Leave the file to the form, which may have more luck with it.
  giveBack(file) {
    const transfer = new DataTransfer();
    transfer.items.add(file);
    this.input.files = transfer.files;
  }

  empty(words) {
    if (!this.form) return;
    const had = this.delivery || this.pending;
    this.discard();
    this.kept.value = this.input.value = "";
    this.submitter = undefined;
    this.forget();
    this.warn("");
    this.tell(words);
    this.draw();
    if (had && words) this.input.focus();
    if (had) this.say("removed");
  }

  // End what is under way, and delete what has arrived, unless it is what goes on.
  discard(key) {
    const { delivery, pending } = this;
    this.delivery = null;
    delivery?.stop(key && delivery.given?.key === key);
    if (pending && pending.key !== key) cancel(pending.cancelUrl, this.csrf());
  }

  // A form that is sent meanwhile waits until the file is there.
  hold(event) {
    if (!this.delivery) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.submitter = event.submitter;
    this.tell("held");
  }

  submit() {
    const { submitter } = this;
    this.submitter = undefined;
    this.form.requestSubmit(submitter?.form === this.form ? submitter : null);
  }

  // A formset may give its rows other names: this is where the field stands by now.
  get place() {
    return `dbqueue.upload:${location.pathname}#${this.kept.name}`;
  }

  recall() {
    try {
      return JSON.parse(sessionStorage.getItem(this.place)) ?? {};
    } catch {
      return {};
    }
  }

  remember(entry) {
    try {
      sessionStorage.setItem(this.place, JSON.stringify(entry));
    } catch { /* full, or switched off: then a reload forgets */ }
  }

  forget() {
    try {
      sessionStorage.removeItem(this.place);
    } catch { /* switched off */ }
  }

  // After a reload, take up what was there; a page that is visited anew begins empty.
  restore() {
    const { tusUrl, completeUrl, modified, ...value } = this.recall();
    if (!this.pending && reloaded && value.key) {
      if (tusUrl || completeUrl) this.tell("again", value.name);
      else this.kept.value = JSON.stringify(value);
    } else if (this.pending?.key !== value.key) this.forget();
    const { previewUrl } = this.pending ?? {};
    if (previewUrl) this.show("picture", previewUrl);
  }

  unfinished(file) {
    const entry = this.recall();
    const { name, size, modified } = described(file);
    const isBegun = entry.tusUrl || entry.completeUrl;
    return isBegun && entry.name === name && entry.size === size && entry.modified === modified ? entry : null;
  }

  draw() {
    const name = this.delivery?.file.name ?? this.pending?.name ?? "";
    const isRunning = Boolean(this.delivery);
    const hadFocus = this.contains(document.activeElement);
    this.part("name").textContent = name;
    this.part("file").hidden = !name;
    this.part("cancel").hidden = this.part("progress").hidden = !isRunning;
    this.part("remove").hidden = isRunning;
    this.part("hint").hidden = this.input.hidden = Boolean(name);
    if (!name) this.show();
    this.dataset.state = isRunning ? "uploading" : name ? "done" : "empty";
    if (name && hadFocus) this.part(isRunning ? "cancel" : "remove").focus();
  }

  progress(share) {
    const percent = Math.floor(100 * share);
    this.part("bar").value = percent;
    this.part("percent").textContent = `${percent} %`;
    this.say("progress", { percent });
  }

  // The words are in the page, in its language.
  tell(words, name = this.part("name").textContent) {
    const key = words && `text${words[0].toUpperCase()}${words.slice(1)}`;
    const text = key ? this.dataset[key].replace("{name}", name) : "";
    if (this.part("text").textContent !== text) this.part("text").textContent = text;
  }

  warn(text) {
    this.part("error").textContent = text;
    this.part("error").hidden = !text;
    if (text) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  // On a canvas: a page that loads only what is its own shows no blob.
  async preview(file) {
    this.show();
    if (!file.type.startsWith("image/") || file.size > PREVIEWED) return;
    try {
      const picture = await createImageBitmap(file);
      const scale = Math.min(1, (PREVIEW * devicePixelRatio) / Math.max(picture.width, picture.height));
      if ((this.delivery?.file ?? file) !== file || this.dataset.state === "empty") return;
      const canvas = this.part("canvas");
      canvas.width = Math.ceil(picture.width * scale);
      canvas.height = Math.ceil(picture.height * scale);
      canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
      this.show("canvas");
    } catch { /* a format that this browser does not know */ }
  }

  show(part, address) {
    if (address) this.part("picture").src = address;
    for (const name of ["canvas", "picture"]) this.part(name).hidden = name !== part;
  }

  say(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(`upload:${name}`, { bubbles: true, detail }));
  }
}

function described({ name, size, lastModified: modified }) {
  return { name, size, modified };
}

// What a storage refuses is not the file, which was looked at, but how it came: its address is
// too old, or its rules are others. The form has more luck.
function toTheForm(error) {
  throw error instanceof Refused ? new Error() : error;
}

function cancel(url, headers) {
  if (url) fetch(url, { method: "POST", headers, keepalive: true }).catch(() => {});
}

// What can be tried again, and what cannot.
function refusal(request) {
  const { status, responseText } = request;
  const after = Number(request.getResponseHeader("Retry-After"));
  const passes = (status >= 500 && status !== 503) || [408, 409, 423, 460].includes(status) || after;
  return Object.assign(new (passes ? Broken : Refused)(reason(responseText)), { status, after });
}

function reason(answer) {
  try {
    const told = JSON.parse(answer);
    return told.message ?? Object.values(told).flat().join(" ");
  } catch {
    return "";
  }
}

if (!customElements.get("upload-field")) customElements.define("upload-field", UploadField);
