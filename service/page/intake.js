/** Takes photos in: dropped anywhere, pasted or picked as a file; a second one is only picked. */

import { byId } from "./element.js";

/**
 * @param {(photo: {blob: Blob, name: string}) => void} take called with each photo
 * @param {(photo: {blob: Blob, name: string}) => void} takeSecond called with one to compare with
 * @param {(message: string) => void} refuse called when nothing can be read
 */
export function openIntake(take, takeSecond, refuse) {
  openPicker(byId("choose"), byId("file"), take, refuse);
  openPicker(byId("choose-second"), byId("file-second"), takeSecond, refuse);
  document.addEventListener("paste", (event) => {
    const pasted = event.clipboardData.files[0];
    if (pasted) receive(pasted, take, refuse);
  });
  watchDrops((dropped) => receive(dropped, take, refuse));
}

function openPicker(button, file, take, refuse) {
  button.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    receive(file.files[0], take, refuse);
    file.value = ""; // else picking the same file again says nothing
  });
}

/** Read the file now: it may be gone, changed or a folder when it is sent. */
async function receive(file, take, refuse) {
  if (!file) return;
  try {
    const bytes = await file.arrayBuffer();
    take({ blob: new Blob([bytes], { type: file.type }), name: file.name || "pasted photo" });
  } catch {
    refuse(`“${file.name}” could not be read. Is it a folder, or has it been moved?`);
  }
}

function watchDrops(receiveFile) {
  const curtain = byId("curtain");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  let inside = 0; // every child entered and left reports itself; 0 means outside the window
  const follow = (change) => (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    inside = Math.max(inside + change, 0);
    curtain.hidden = inside === 0;
  };
  document.addEventListener("dragenter", follow(+1));
  document.addEventListener("dragleave", follow(-1));
  document.addEventListener("dragover", follow(0)); // without it the browser opens the file
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    inside = 0;
    curtain.hidden = true;
    receiveFile(event.dataTransfer.files[0]);
  });
}
