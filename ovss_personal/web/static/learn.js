// Naming and learning a concept, and the list of those this tab has.

import { download, get, getBlob, post, remove, upload } from "./api.js";
import { $, attempt, element, safeName, tell, tellNotes } from "./page.js";

const STAGES = { wait: "Waiting for its turn", see: "Looking at the photos", words: "Reading words", fit: "Learning" };
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Learning {
  // `shots` gives the marked photos as requests have them; `changed` is called when the concepts in use change.
  constructor(shots, changed) {
    Object.assign(this, { shots, changed, concepts: [], ownKind: false });
    $("learn-form").onsubmit = (event) => {
      event.preventDefault();
      attempt(() => this.learn());
    };
    $("concept-name").oninput = () => {
      if (!this.ownKind) $("class-name").value = $("concept-name").value.replace(/^\s*(my|our|the)\s+/i, "");
    };
    $("class-name").oninput = () => { this.ownKind = $("class-name").value !== ""; };
    $("concept-zip").onchange = (event) => this.loadChosen(event.target, ([file]) => upload("concepts", file));
    $("concept-folder").onchange = (event) => this.loadChosen(event.target, loadFolder);
  }

  get used() {
    return this.concepts.filter((concept) => concept.used);
  }

  async learn() {
    tell("");
    const shots = this.shots();
    if (!shots.length) throw new Error("Mark your thing in at least one photo first.");
    $("learn").disabled = true;
    $("progress").hidden = false;
    $("quality").replaceChildren();
    try {
      const asked = { name: $("concept-name").value, class_name: $("class-name").value, shots };
      const { job } = await post("learn", asked);
      const concept = await this.follow(job);
      this.add(concept);
      showQuality(concept);
    } finally {
      $("learn").disabled = false;
      $("progress").hidden = true;
    }
  }

  async follow(job) {
    for (;;) {
      const now = await get(`jobs/${job}`);
      $("bar").value = now.done / Math.max(1, now.total);
      const loss = now.losses.length ? `, loss ${now.losses.at(-1).toFixed(3)}` : "";
      const all = now.stage === "fit" && now.done === now.total;
      $("progress-text").textContent = all
        ? `Looking for each photo with what the others taught${loss}`
        : `${STAGES[now.stage]}: ${now.done} of ${now.total}${loss}`;
      drawLoss(now.losses);
      if (now.state === "done") return now.result;
      if (now.state === "failed") throw new Error([now.error?.message, now.error?.hint].filter(Boolean).join(" "));
      await pause(150);
    }
  }

  loadChosen(input, load) {
    const files = [...input.files];
    input.value = "";
    if (files.length) attempt(async () => this.add(await load(files)));
  }

  add(concept) {
    this.concepts = this.concepts.filter((other) => other.name !== concept.name);
    this.concepts.push({ ...concept, used: true });
    tellNotes(concept.notes);
    this.draw();
    this.changed();
  }

  forget(concept) {
    this.concepts = this.concepts.filter((other) => other !== concept);
    remove(`concepts/${concept.concept}`).catch(() => {});
    this.draw();
    this.changed();
  }

  draw() {
    $("no-concept").hidden = this.concepts.length > 0;
    const items = this.concepts.map((concept) => {
      const use = element("input", { type: "checkbox", checked: concept.used });
      use.onchange = () => {
        concept.used = use.checked;
        this.changed();
      };
      const forget = element("button", { type: "button", className: "plain", textContent: "Forget" });
      forget.setAttribute("aria-label", `Forget ${concept.name}`);
      forget.onclick = () => this.forget(concept);
      const count = concept.shots.length;
      const learned = `a ${concept.class_name}, from ${count} photo${count === 1 ? "" : "s"}`;
      return element("li", {},
        element("label", {}, use, " ", element("strong", { textContent: concept.name })),
        element("span", { className: "hint", textContent: learned }), forget);
    });
    $("concepts").replaceChildren(...items, $("no-concept"));
    $("save-concepts").replaceChildren(...this.concepts.map((concept) => {
      const button = element("button", { type: "button", textContent: `Concept “${concept.name}” (zip)` });
      button.onclick = () => attempt(async () =>
        download(await getBlob(`concepts/${concept.concept}.zip`), `${safeName(concept.name)}.zip`));
      return button;
    }));
  }
}

// The files of a folder, without a zip: they are small.
async function loadFolder(files) {
  const wanted = files.filter((file) => /^adapter_(config\.json|model\.safetensors)$/.test(file.name));
  const texts = await Promise.all(wanted.map(async (file) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return [file.name, btoa(text)];
  }));
  return post("concepts/files", Object.fromEntries(texts));
}

function drawLoss(losses) {
  const canvas = $("loss");
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (losses.length < 2) return;
  const most = Math.max(...losses), least = Math.min(...losses);
  pen.strokeStyle = getComputedStyle(canvas).getPropertyValue("--accent");
  pen.lineWidth = 2;
  pen.beginPath();
  losses.forEach((loss, step) => pen.lineTo(
    4 + (step / (losses.length - 1)) * (canvas.width - 8),
    4 + ((most - loss) / (most - least || 1)) * (canvas.height - 8)));
  pen.stroke();
}

function showQuality(concept) {
  const score = (value) => (value === null ? "–" : value.toFixed(2));
  const rows = concept.shots.map((shot) => element("tr", {},
    element("td", {}, shot.name, shot.outlier
      ? element("span", { className: "small warn", textContent: "Does not fit the others: look at its mask." }) : null),
    element("td", { textContent: score(shot.iou) }),
    element("td", { textContent: score(shot.leave_one_out) })));
  const head = ["Photo", "Found again", "Found by what the others taught"]
    .map((textContent) => element("th", { textContent, scope: "col" }));
  $("quality").replaceChildren(
    element("p", { className: "status", textContent: `“${concept.name}” is learned.` }),
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
    element("p", { className: "hint", textContent: "How well what is found covers what you marked (IoU): 1 is exactly, "
      + "0 not at all. A photo far below the others usually has a mark in the wrong place." }));
}
