// Saves an image on the device. Loaded on first use.
import { imagePath, text } from "./shared.js";

/** @param {Hass} hass @param {GazeImageInfo} image */
export async function download(hass, image) {
  const response = await hass.fetchWithAuth(imagePath(image));
  if (!response.ok) throw new Error(text("image_gone"));
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName(image);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** @param {GazeImageInfo} image */
function fileName({ preset, job_id, content_type }) {
  const name = preset.replace(/[^\w-]+/g, "_").slice(0, 40) || "image";
  return `gaze_${name}_${job_id.slice(0, 8)}.${content_type.slice(6).replace("jpeg", "jpg")}`;
}
