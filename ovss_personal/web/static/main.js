// Puts the four steps together.

import { download, openTab, postForBlob } from "./api.js";
import { Editor } from "./editor.js";
import { Finding } from "./find.js";
import { Learning } from "./learn.js";
import { $, attempt, tell } from "./page.js";
import { Photos } from "./photos.js";

$("alert").querySelector("button").onclick = () => tell("");
// A photo dropped beside its place would replace the page.
for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());

await attempt(async () => {
  const limits = await openTab();
  $("base").textContent = `Base: ${limits.base}.`;

  const marked = () => shots.list.filter((photo) => photo.steps?.length)
    .map((photo) => ({ photo: photo.photo, steps: photo.steps }));
  const markedChanged = () => {
    shots.draw();
    $("save-shots").disabled = marked().length === 0;
  };
  const editor = new Editor(markedChanged);
  const shots = new Photos("shot", limits.shots, limits, (photo) => editor.open(photo), markedChanged);
  const learning = new Learning(marked, () => finding.refresh());
  const finding = new Finding(() => learning.used);
  const tests = new Photos("test", 30, limits, (photo) => finding.open(photo));

  $("remove").onclick = () => shots.removeChosen();
  $("remove-test").onclick = () => tests.removeChosen();
  $("save-shots").onclick = () => attempt(async () =>
    download(await postForBlob("shots.zip", { shots: marked() }), "shots.zip"));
});
document.documentElement.dataset.ready = "true";
