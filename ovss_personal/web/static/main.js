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

history.replaceState(null, "", location.pathname); // the token is in a cookie now, and need not be seen

await attempt(async () => {
  const limits = await openTab();
  $("base").textContent = `Base: ${limits.base}.`;

  const marked = () => shots.list.filter((photo) => photo.steps?.length)
    .map((photo) => ({ photo: photo.photo, steps: photo.steps }));
  const markedChanged = () => {
    shots.draw();
    $("save-shots").disabled = marked().length === 0;
  };
  const openNext = (only) => {
    const photo = shots.unmarked();
    if (photo && !only) shots.select(photo);
    return Boolean(photo);
  };
  const editor = new Editor(markedChanged, openNext);
  const shots = new Photos("shot", limits.shots, limits, (photo) => editor.open(photo), markedChanged);
  const learning = new Learning(() => shots.list.filter((photo) => photo.steps?.length), marked, {
    changed: () => finding.refresh(),
    look: (photo) => {
      shots.select(photo);
      $("show").scrollIntoView();
    },
  });
  const finding = new Finding(() => learning.used);
  const tests = new Photos("test", 30, limits, (photo) => finding.open(photo));

  // What is here is not kept anywhere else.
  addEventListener("beforeunload", (event) => {
    if (shots.list.length || tests.list.length || learning.concepts.length) event.preventDefault();
  });
  $("remove").onclick = () => shots.removeChosen();
  $("remove-test").onclick = () => tests.removeChosen();
  $("save-shots").onclick = () => attempt(async () =>
    download(await postForBlob("shots.zip", { shots: marked() }), "shots.zip"));
});
document.documentElement.dataset.ready = "true";
