// What a key does to the photo that is being marked; null if nothing.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ZOOMS = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, 0: 0 };

// `here`: whether the photo has the focus. Else keys that scroll the page or go on in it are left to the page.
export function actionOf(event, editor, here) {
  if (event.altKey || event.ctrlKey || event.metaKey) return null;
  if (event.key in ZOOMS) return () => editor.view.zoom(ZOOMS[event.key]);
  if (event.key === "]") return () => editor.another(1);
  if (event.key === "[") return () => editor.another(-1);
  if (event.key.toLowerCase() === "z") return () => editor.edit(() => editor.photo.steps.pop());
  if (!here) return null;
  if (event.key in ARROWS) return () => editor.step(...ARROWS[event.key]);
  if (event.key === "Tab") return tab(event, editor.photo);
  if (event.key === "Enter" || event.key === " ") return () => editor.take(editor.adds(event));
  if (event.key === "Delete" || event.key === "Backspace") return () => editor.take(false);
  return null;

  // Goes through the other outlines of what was just taken, once; then, and with shift, it leaves the photo.
  function tab({ shiftKey }, { steps, last }) {
    if (shiftKey || !last || steps.at(-1) !== last.step) return null;
    last.tabs = (last.tabs ?? 0) + 1;
    return last.tabs < last.found.length ? () => editor.another(1) : null;
  }
}
