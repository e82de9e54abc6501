// Naming and learning a concept, and the list of those this tab has.

import { download, get, getBlob, post, remove, upload } from "./api.js";
import { $, attempt, element, safeName, tell, tellNotes } from "./page.js";

const STAGES = { wait: "Waiting for its turn", see: "Looking at the photos", words: "Reading words", fit: "Learning" };
const FOUND = 0.5; // IoU with what was marked from which a thing counts as found
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Learning {
  // `photos` gives the marked photos, `shots` the same as requests have them; `changed` is called when the concepts in
  // use change, `look` with a photo that the user wants to see again.
  constructor(photos, shots, { changed, look }) {
    Object.assign(this, { photos, shots, changed, look, concepts: [], ownKind: false, job: null });
    $("stop").onclick = () => this.job && remove(`jobs/${this.job}`).catch(() => {});
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
    const [photos, shots] = [this.photos(), this.shots()];
    if (!shots.length) throw new Error("Mark your thing in at least one photo first.");
    $("learn").disabled = true;
    $("progress").hidden = false;
    $("quality").hidden = true;
    $("progress").scrollIntoView();
    try {
      const asked = { name: $("concept-name").value, class_name: $("class-name").value, shots };
      const concept = await this.follow(asked).finally(() => { $("progress").hidden = true; });
      this.add(concept);
      showQuality(concept, photos, this.look);
    } finally {
      $("learn").disabled = false;
      this.job = null;
    }
  }

  async follow(asked) {
    this.job = (await post("learn", asked)).job;
    for (;;) {
      const now = await get(`jobs/${this.job}`);
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

// How it went in plain words, with the photos that should be looked at; numbers only for who asks for them.
function showQuality(concept, photos, look) {
  const found = (shot) => shot.iou >= FOUND;
  const count = concept.shots.filter(found).length;
  const all = concept.shots.length;
  const where = all === 1 ? (count ? "Found again in its photo." : "Not found again in its photo.")
    : `Found again in ${count === all ? `all ${all}` : `${count} of ${all}`} photos.`;
  const odd = concept.shots.map((shot, index) => [shot, photos[index], index + 1])
    .filter(([shot]) => shot.outlier || !found(shot));
  const items = odd.map(([shot, photo, number]) => {
    const why = shot.outlier ? `Photo ${number} does not fit the others: look at it.`
      : `Photo ${number} was not found again: look at it.`;
    const button = element("button", { type: "button", onclick: () => look(photo) },
      element("img", { src: photo.image.src, alt: "" }), element("span", { textContent: why }));
    return element("li", {}, button);
  });
  $("verdict-learned").textContent = `“${concept.name}” is learned. ${where}`;
  $("look-at").replaceChildren(...items);
  const score = (value) => (value === null ? "–" : value.toFixed(2));
  const rows = concept.shots.map((shot) => element("tr", {}, element("td", { textContent: shot.name }),
    element("td", { textContent: score(shot.iou) }), element("td", { textContent: score(shot.leave_one_out) })));
  $("scores").tBodies[0].replaceChildren(...rows);
  $("quality").hidden = false;
  $("quality").scrollIntoView();
}
